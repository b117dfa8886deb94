-- The service's own role, which owns its database and can do nothing else. For psql, as user
-- postgres, in a database that is there; the variable `password` is set before. Run again: no harm.

-- Nothing of it goes to the log, whatever the settings are.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';

SELECT 'CREATE ROLE slipway' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'slipway') \gexec
ALTER ROLE slipway LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
  PASSWORD :'password';
-- What is forgotten comes to an end. The service and its migrations set closer limits of their own.
ALTER ROLE slipway SET statement_timeout = '5min';
ALTER ROLE slipway SET lock_timeout = '30s';
ALTER ROLE slipway SET idle_in_transaction_session_timeout = '1min';

-- C.UTF-8: an order that no update of the system's library changes, so that no index is wrong then.
SELECT 'CREATE DATABASE slipway OWNER slipway TEMPLATE template0 ENCODING ''UTF8'' LOCALE ''C.UTF-8'''
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'slipway') \gexec
ALTER DATABASE slipway OWNER TO slipway;
-- A restore that was cut off in its swap has left it closed to everybody.
ALTER DATABASE slipway ALLOW_CONNECTIONS true;
REVOKE ALL ON DATABASE slipway FROM PUBLIC;
