"""What every room stands on: errors that people can read, files that are whole, the home folder."""
