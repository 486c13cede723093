-- The ledger says how each load ended, not only how many rows there were.
--
-- Expanding: the loader that is deployed still writes row_count alone, the next one writes the new columns alone, and
-- both work, because each column that only one of them knows is filled from the other's.

alter table loaded_files
    add column status text not null default 'loaded' check (status in ('loaded', 'rejected')),
    add column rows_read bigint,
    add column rows_loaded bigint,
    add column rows_rejected bigint not null default 0,
    add column rows_unchanged bigint not null default 0,
    add column encoding text,
    add column delimiter text,
    add column reason text,
    add column arrived timestamptz,
    add column finished timestamptz not null default now();

update loaded_files set rows_read = row_count, rows_loaded = row_count, finished = loaded_at;

create function loaded_files_in_both_forms() returns trigger language plpgsql as $$
begin
    new.row_count := coalesce(new.row_count, new.rows_loaded);
    new.rows_loaded := coalesce(new.rows_loaded, new.row_count);
    new.rows_read := coalesce(new.rows_read, new.row_count);
    return new;
end
$$;

create trigger in_both_forms before insert or update on loaded_files
    for each row execute function loaded_files_in_both_forms();
