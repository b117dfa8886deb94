"""What to do instead of what is refused, rule by rule: squawk's and our own."""

# What the code of the release before does not survive: `# contract: REASON` allows all of it.
BREAKS = {
    "adding-required-field": "give it a server_default, or add it nullable: the release before"
    " does not write it",
    "changing-column-type": "add a column of the new type, write both, move the data by a job, read"
    " the new one, and drop the old one a release later",
    "ban-alter-identity": "add a column of its own",
    "ban-alter-policy-condition": "release code that lives with both, then alter it",
    "ban-alter-policy-roles": "release code that lives with both, then alter it",
    "ban-alter-row-level-security": "release code that lives with it, then turn it on or off",
    "ban-create-policy": "release code that lives with it, then create it",
    "ban-detach-inheritance": "release code that does without it, then detach it",
    "ban-disable-trigger": "release code that does without it, then disable it",
    "ban-drop-column": "release code that neither reads nor writes it (nullable or with a default"
    " by then), and drop it a release later",
    "ban-drop-constraint": "drop it when no release that runs relies on it",
    "ban-drop-database": "not in a revision",
    "ban-drop-default": "release code that always writes the column, then drop the default",
    "ban-drop-domain": "drop it when no release that runs uses it",
    "ban-drop-extension": "drop it when no release that runs uses it",
    "ban-drop-function": "drop it when no release that runs calls it",
    "ban-drop-generated-expression": "release code that writes the column, then drop it",
    "ban-drop-index": "drop it, concurrently, when no release that runs needs it: it may be what"
    " keeps a query quick, or what ON CONFLICT names",
    "ban-drop-not-null": "release code that can read NULL, then allow it",
    "ban-drop-policy": "release code that does without it, then drop it",
    "ban-drop-schema": "drop it when no release that runs uses it",
    "ban-drop-sequence": "drop it when no release that runs uses it",
    "ban-drop-table": "release code that does not ask for it, and drop it a release later",
    "ban-drop-trigger": "release code that does its work, then drop it",
    "ban-drop-type": "drop it when no release that runs uses it",
    "ban-drop-view": "release code that does not ask for it, and drop it a release later",
    "ban-new-write-restriction": "release code that writes nothing else and mend the rows that are"
    " there; restrict it a release later",
    "ban-replace-view-function": "make it under a new name, and drop the old one a release later",
    "ban-revoke": "revoke it when no release that runs needs it",
    "ban-set-schema": "make it anew there, write both, and drop the old one a release later",
    "ban-truncate-cascade": "not in a revision: it empties other tables too",
    "hidden-write": "do it in the code that writes, or release code that lives with it first",
    "renaming-column": "add a column, write both, move the data by a job, read the new one, and"
    " drop the old one a release later. In the code alone the name is free:"
    ' mapped_column("old_name")',
    "renaming-object": "make it under a new name, and drop the old one a release later",
    "renaming-table": "make a new one as with a column; in the code alone the class's name is free:"
    " __tablename__ stays",
}

# What holds up others, or cannot be looked at: `# lint allows RULE: REASON`, one rule at a time.
INSTEAD = {
    "adding-field-with-default": "add it without a default and set that in a statement of its own;"
    " rows that are there are filled by a job",
    "adding-foreign-key-constraint": "create_foreign_key(…, postgresql_not_valid=True), and"
    " VALIDATE CONSTRAINT in a revision of its own",
    "adding-not-nullable-field": 'create_check_constraint(…, "COLUMN IS NOT NULL",'
    " postgresql_not_valid=True); VALIDATE CONSTRAINT in the next revision; SET NOT NULL in the one"
    " after that, which finds it proven",
    "adding-serial-primary-key-field": "a unique index, concurrently, then ADD PRIMARY KEY USING"
    " INDEX",
    "changed-revision": "put it back as it was and add a revision: a database that has run it does"
    " not run it again",
    "constraint-missing-not-valid": "postgresql_not_valid=True, and VALIDATE CONSTRAINT in a"
    " revision of its own; of a UNIQUE, a unique index, concurrently, then ADD CONSTRAINT … UNIQUE"
    " USING INDEX",
    "data-in-a-revision": "a job that changes some hundred rows a transaction, enqueued by hand or"
    " by the release that comes next",
    "disallowed-unique-constraint": "a unique index, concurrently, then ADD CONSTRAINT … UNIQUE"
    " USING INDEX",
    "holds-a-table": "outside of a release, by hand, at a quiet time",
    "needs-a-database": "operations that can be written down beforehand (op.execute with all the"
    " SQL); what asks the data first is a job",
    "prefer-robust-stmts": "if_not_exists=True or if_exists=True: what was committed before it"
    " failed is there when it is tried again",
    "require-concurrent-index-creation": "with op.get_context().autocommit_block():"
    " create_index(…, postgresql_concurrently=True, if_not_exists=True), in a revision of its own",
    "require-concurrent-index-deletion": "with op.get_context().autocommit_block():"
    " drop_index(…, postgresql_concurrently=True, if_exists=True), in a revision of its own",
    "squawk-comment": "say it in the revision: # lint allows RULE: REASON",
    "syntax-error": "mend the SQL",
    "unseen": "the statements themselves, with op.execute, so that they are looked at",
}

# What is wrong with a word itself; nothing allows it.
WRONG = {
    "no-reason": "say why after the colon",
    "no-such-finding": "delete the line, or mend the rule's name",
}
