-- Keys. Takes milliseconds and blocks nobody.
-- Who may call. Of a secret only its SHA-256 is kept, in hexadecimal digits.
create table keys (
    key_id       text collate "C" primary key,
    name         text not null,
    scopes       text[] not null,
    digest       text not null,
    old_digest   text, -- of the secret before, which works until old_until
    old_until    timestamptz,
    created_at   timestamptz not null default now(),
    created_by   text, -- the key that made it; null: who runs the service, or anybody while no key was needed
    expires_at   timestamptz,
    last_used_at timestamptz
);

-- A service whose role does not own the tables keeps working.
do $$
declare service text;
begin
    for service in
        select distinct grantee::regrole::text from pg_class, aclexplode(relacl)
        where oid = 'images'::regclass and privilege_type = 'INSERT' and grantee not in (0, relowner)
    loop
        execute format('grant select, insert, update, delete on keys to %s', service);
    end loop;
end
$$;
