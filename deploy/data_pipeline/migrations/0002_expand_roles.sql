-- Who may do what: the owner (who runs this) changes tables, the loader adds rows, the reader reads.
-- Loader and reader have no password.  Where the role rds_iam is, its members log in with a token of AWS instead.

do $$
declare
    role text;
begin
    foreach role in array array['loader', 'reader'] loop
        -- Roles belong to the server; another database of it may have made them.
        if not exists (select from pg_roles where rolname = role) then
            execute format('create role %I login', role);
        end if;
        if exists (select from pg_roles where rolname = 'rds_iam') then
            execute format('grant rds_iam to %I', role);
        end if;
        execute format('grant connect on database %I to %I', current_database(), role);
    end loop;
    execute format('revoke all on database %I from public', current_database());
    -- The checking path puts a file's rows into a temporary table.
    execute format('grant temporary on database %I to loader', current_database());
end
$$;

revoke all on schema public from public;
grant usage on schema public to loader, reader;

-- The loader reads to tell a row that is there already from one that contradicts it.
grant select, insert on airlines, airports, flights_airport, planes, synthetic, loaded_files to loader;
grant select on schema_migrations to loader;
grant select on airlines, airports, flights_airport, planes, synthetic, loaded_files, schema_migrations to reader;
