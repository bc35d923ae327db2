"""What a verdict rests on: results as files, read and audited, ours and foreign ones."""
