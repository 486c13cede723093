-- Contracting: no loader writes row_count any more, so the old form and what filled it go.
-- Run it when the release that came with 0003 is deployed and validated.

drop trigger in_both_forms on loaded_files;
drop function loaded_files_in_both_forms();

alter table loaded_files
    alter column rows_read set not null,
    alter column rows_loaded set not null,
    drop column row_count,
    drop column loaded_at;
