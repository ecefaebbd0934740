"""Other libraries' networks and files: a module a format, none imported before it is asked for."""
