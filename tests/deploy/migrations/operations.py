"""What a revision may do, as it is written there, and the rule that it breaks."""

# What the release before does not survive: the operation, and the rule.
BREAKING = [
    ('op.drop_column("users", "name")', "ban-drop-column"),
    ('op.drop_table("users")', "ban-drop-table"),
    ('op.rename_table("users", "people")', "renaming-table"),
    ('op.alter_column("users", "name", new_column_name="nick")', "renaming-column"),
    ('op.alter_column("users", "name", nullable=False)', "ban-new-write-restriction"),
    ('op.alter_column("users", "name", nullable=True)', "ban-drop-not-null"),
    ('op.alter_column("users", "name", server_default=None)', "ban-drop-default"),
    ('op.alter_column("users", "name", type_=sa.Text())', "changing-column-type"),
    (
        'op.add_column("users", sa.Column("age", sa.Integer(), nullable=False))',
        "adding-required-field",
    ),
    (
        'op.create_check_constraint("c", "users", "age > 0", postgresql_not_valid=True)',
        "ban-new-write-restriction",
    ),
    (
        "op.execute('ALTER TABLE \"größe\" ADD CONSTRAINT c CHECK (a > 0) NOT VALID')",
        "ban-new-write-restriction",
    ),
    ('op.drop_constraint("ck_jobs_status", "jobs")', "ban-drop-constraint"),
    (
        'op.create_foreign_key("f", "users", "teams", ["a"], ["id"], postgresql_not_valid=True)',
        "ban-new-write-restriction",
    ),
    (
        'op.execute("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS u ON users (name)")',
        "ban-new-write-restriction",
    ),
    ("op.execute(\"ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'\")", "renaming-object"),
    ('op.execute("DROP TYPE mood")', "ban-drop-type"),
    ('op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_users_name")', "ban-drop-index"),
    ('op.execute("ALTER TABLE users SET SCHEMA old")', "ban-set-schema"),
    ('op.execute("REVOKE SELECT ON users FROM service")', "ban-revoke"),
    (
        'op.execute("CREATE TRIGGER t BEFORE INSERT ON users EXECUTE FUNCTION f()")',
        "hidden-write",
    ),
    ('op.execute("CREATE RULE r AS ON DELETE TO users DO INSTEAD NOTHING")', "hidden-write"),
]

# What holds up others, or cannot be looked at.
HOLDING = [
    ('op.create_index("i", "users", ["name"])', "require-concurrent-index-creation"),
    ('op.drop_index("i", "users")', "require-concurrent-index-deletion"),
    ('op.alter_column("users", "name", nullable=False)', "adding-not-nullable-field"),
    ('op.create_check_constraint("c", "users", "age > 0")', "constraint-missing-not-valid"),
    ('op.create_unique_constraint("u", "users", ["name"])', "disallowed-unique-constraint"),
    (
        'op.create_foreign_key("f", "users", "teams", ["a"], ["id"])',
        "adding-foreign-key-constraint",
    ),
    (
        'op.add_column("users", sa.Column("k", sa.Uuid(), server_default=sa.text("f()")))',
        "adding-field-with-default",
    ),
    ("op.execute(\"UPDATE users SET name = 'x'\")", "data-in-a-revision"),
    ('op.execute("update users set name = lower(name); SELECT 1")', "data-in-a-revision"),
    ('op.execute("SELECT 1; DELETE FROM users")', "data-in-a-revision"),
    ('op.execute("TRUNCATE users")', "data-in-a-revision"),
    (
        'op.execute("WITH old AS (DELETE FROM users RETURNING *) SELECT * FROM old")',
        "data-in-a-revision",
    ),
    ('op.execute("INSERT INTO people SELECT * FROM users")', "data-in-a-revision"),
    ('op.execute(sa.table("users").delete())', "data-in-a-revision"),
    ('op.execute("LOCK TABLE users")', "holds-a-table"),
    ('op.execute("ALTER TABLE users SET UNLOGGED")', "holds-a-table"),
    ('op.execute("REFRESH MATERIALIZED VIEW totals")', "holds-a-table"),
    ('op.execute("DO $$ BEGIN DROP TABLE users; END $$")', "unseen"),
    ('op.execute("-- squawk-ignore ban-drop-table\\nDROP TABLE users")', "squawk-comment"),
    ('op.execute("ALTER TABLE")', "syntax-error"),
    ("op.get_bind()", "needs-a-database"),
    ('op.get_bind().execute("SELECT 1")', "needs-a-database"),
    ("if not op.get_context().as_sql: pass", "needs-a-database"),
    ("if not context.is_offline_mode(): pass", "needs-a-database"),
    ("raise RuntimeError", "needs-a-database"),
    ('op.bulk_insert(sa.table("t", sa.column("c", sa.JSON())), [{"c": {}}])', "needs-a-database"),
]


def apart(key: str) -> str:
    """A unique index, outside of the transaction."""
    index = f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS u ON users {key}"
    return f'\nwith op.get_context().autocommit_block():\n    op.execute("{index}")'


# What a release may run while the one before it serves: nothing is said of it.
FREE = [
    'op.create_table("t", sa.Column("id", sa.Uuid(), primary_key=True))',
    'op.add_column("users", sa.Column("nick", sa.String()))',
    'op.add_column("users", sa.Column("n", sa.Integer(), server_default="0", nullable=False))',
    'op.add_column("users", sa.Column("at", sa.DateTime(True), server_default=sa.func.now(),'
    " nullable=False))",
    'op.alter_column("users", "name", server_default="x")',
    'op.execute("ALTER TABLE users VALIDATE CONSTRAINT c")',
    # Restrictions of what the release before does not write.
    'op.add_column("users", sa.Column("team_id", sa.Uuid()));'
    ' op.create_foreign_key("f", "users", "teams", ["team_id"], ["id"], postgresql_not_valid=True)',
    'op.add_column("users", sa.Column("mood", sa.String(), server_default="so-so"));'
    ' op.create_check_constraint("c", "users", "mood IN (\'so-so\', \'glad\')",'
    " postgresql_not_valid=True)",
    'op.execute("ALTER TABLE users ADD COLUMN nick text")' + apart("(team_id, nick)"),
    # Rows of a table that is nobody's yet.
    'op.create_table("t", sa.Column("n", sa.Integer())); op.execute("UPDATE t SET n = 1")',
    "op.execute(\"INSERT INTO moods /* DELETE; UPDATE */ VALUES ('UPDATE; SELECT')\")",
    "with op.get_context().autocommit_block():\n"
    '    op.create_index("i", "t", ["a"], postgresql_concurrently=True, if_not_exists=True)',
]

# Restrictions that a new column is part of, and that bind what the release before writes.
OLD_ROWS = [
    'op.add_column("users", sa.Column("nick", sa.String(), server_default="x"))' + apart("(nick)"),
    'op.add_column("users", sa.Column("nick", sa.String()))' + apart("(nick) NULLS NOT DISTINCT"),
    'op.add_column("users", sa.Column("nick", sa.String()))' + apart("(lower(email))"),
    'op.add_column("users", sa.Column("a", sa.Integer()));'
    ' op.create_check_constraint("c", "users", "a > age", postgresql_not_valid=True)',
]
