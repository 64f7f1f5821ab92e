"""What plugs into somebody else's world: HTTP clients, the command line. Each module needs only its own library."""
