-- The service's own role, which owns its database and is no superuser. For psql, as the superuser:
-- compose.yaml has it run when the database is made, `python -m deploy docker release` before it
-- migrates. A role that is there keeps its password.

\getenv password SERVICE_PASSWORD
\if :{?password}
\else
\set password `cat /run/secrets/service`
\endif

SELECT format('CREATE ROLE service LOGIN PASSWORD %L', :'password')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'service') \gexec

ALTER DATABASE service OWNER TO service;
