// The tables of this database.
CALL show_tables() RETURN name ORDER BY name;
