"""What people see: the terminal and its progress, and for each group of commands how it ends."""
