-- Objects without a row are entered in a table, in the place of looking for them in the store.
-- Takes milliseconds on a database of any size. Blocks uploads while it runs (SHARE ROW EXCLUSIVE on attachments).
create table orphans (
    object_key text collate "C" primary key,
    since      timestamptz not null default now(),
    taken_at   timestamptz -- by a collector, which removes the object now: no upload may have it any more
);

create function remember_orphans() returns trigger language plpgsql set search_path from current as $$
begin
    if tg_op = 'DELETE' then
        insert into orphans (object_key) select object_key from old_rows on conflict do nothing;
    else
        insert into orphans (object_key)
            select object_key from old_rows except select object_key from new_rows
            on conflict do nothing;
    end if;
    return null;
end
$$;

create trigger attachments_deleted after delete on attachments
    referencing old table as old_rows
    for each statement execute function remember_orphans();

create trigger attachments_replaced after update on attachments
    referencing old table as old_rows new table as new_rows
    for each statement execute function remember_orphans();

-- A service whose role does not own the tables keeps working: what it may do with attachments, it now needs here too.
do $$
declare service text;
begin
    for service in
        select distinct grantee::regrole::text from pg_class, aclexplode(relacl)
        where oid = 'attachments'::regclass and privilege_type = 'INSERT' and grantee not in (0, relowner)
    loop
        execute format('grant select, insert, update, delete on orphans to %s', service);
        execute format('grant usage on sequence %s to %s', pg_get_serial_sequence('images', 'image_id'), service);
    end loop;
end
$$;
