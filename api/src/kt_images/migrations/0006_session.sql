-- Sessions in a browser. Takes milliseconds and blocks nobody.
-- What the cookies of sessions are signed with: one row, which a service makes when it first needs it. Emptied, all
-- sessions end.
create table session_secret (
    only_one boolean primary key default true check (only_one),
    -- 244 random bits.
    secret   bytea not null default sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'))
);

-- A service whose role does not own the tables keeps working.
do $$
declare service text;
begin
    for service in
        select distinct grantee::regrole::text from pg_class, aclexplode(relacl)
        where oid = 'images'::regclass and privilege_type = 'INSERT' and grantee not in (0, relowner)
    loop
        execute format('grant select, insert on session_secret to %s', service);
    end loop;
end
$$;
