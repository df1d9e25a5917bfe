-- For moves of all files to another store. Takes milliseconds and blocks nobody.
-- The stores that the files were moved from and to, so that no store of another database is taken for one of them.
create table known_stores (
    store_id    text primary key,
    place       text not null, -- as the command was given it
    known_since timestamptz not null default now()
);

-- While the files are moved to another store: keys of rows written since that began. A trigger, which exists that long,
-- enters them; it writes as the owner, so that the roles of services need no more than they have.
create table moving (
    object_key text collate "C" primary key
);

create function remember_moving() returns trigger language plpgsql security definer set search_path from current as $$
begin
    insert into moving (object_key) values (new.object_key) on conflict do nothing;
    return null;
end
$$;

-- A service whose role does not own the tables can say where the files are.
do $$
declare service text;
begin
    for service in
        select distinct grantee::regrole::text from pg_class, aclexplode(relacl)
        where oid = 'images'::regclass and privilege_type = 'INSERT' and grantee not in (0, relowner)
    loop
        execute format('grant select on known_stores to %s', service);
    end loop;
end
$$;
