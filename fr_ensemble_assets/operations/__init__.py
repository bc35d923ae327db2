"""What people do with the platform: run, backfill, serve, look after it. Behind the command."""
