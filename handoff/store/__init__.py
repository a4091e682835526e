"""The store: tables, migrations, transactions; SQLite (WAL) embedded, PostgreSQL by URL."""
