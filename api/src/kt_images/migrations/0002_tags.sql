-- How many images each tag is on is kept beside them. Takes some 3 seconds for a million images. Blocks
-- whoever stores, changes or deletes images meanwhile (SHARE ROW EXCLUSIVE on images); lists and reads go on.
-- On how many images each tag is: `tag_counts`, and what has changed since they were last brought up to date. A change
-- is a row of its own, so that nobody waits for the row of a common tag. Both added up are exact at every moment. The
-- empty tag, which no image can have, stands for all images.
create table tag_counts (
    tag    text collate "C" primary key,
    images bigint not null
);

create table tag_changes (
    tag    text collate "C" not null,
    images bigint not null
);

-- A tag for comparison without regard to case. The database's own locale may know ASCII alone; where there is a collation
-- that knows every letter, that one is taken.
do $$
declare known text := coalesce(
    (select collname from pg_collation where collname in ('pg_c_utf8', 'und-x-icu') order by collname limit 1), 'default'
);
begin
    execute format(
        'create function folded(tag text) returns text language sql immutable parallel safe '
        'return lower(tag collate %I) collate "C"', known
    );
end
$$;

create function count_tags() returns trigger language plpgsql set search_path from current as $$
begin
    if tg_op = 'INSERT' then
        insert into tag_changes
            select tag, count(*) from new_rows, unnest(tags || ''::text) as tag group by tag;
    elsif tg_op = 'DELETE' then
        insert into tag_changes
            select tag, -count(*) from old_rows, unnest(tags || ''::text) as tag group by tag;
    elsif tg_op = 'UPDATE' then
        insert into tag_changes
            select tag, sum(images)
            from (
                select tag, 1 as images from new_rows, unnest(tags) as tag
                union all
                select tag, -1 from old_rows, unnest(tags) as tag
            ) as changes
            group by tag
            having sum(images) <> 0;
    else
        -- The lock of those who bring the counts up to date.
        perform pg_advisory_xact_lock(5046820213);
        delete from tag_changes;
        delete from tag_counts;
    end if;
    return null;
end
$$;

create trigger images_stored after insert on images
    referencing new table as new_rows
    for each statement execute function count_tags();

create trigger images_deleted after delete on images
    referencing old table as old_rows
    for each statement execute function count_tags();

create trigger images_changed after update on images
    referencing old table as old_rows new table as new_rows
    for each statement execute function count_tags();

create trigger images_truncated after truncate on images
    for each statement execute function count_tags();

insert into tag_counts
    select tag, count(*) from images, unnest(tags || ''::text) as tag group by tag;

create index if not exists images_untagged on images (image_id) where tags = '{}';
create index tag_counts_folded on tag_counts (folded(tag));

analyze tag_counts;

-- A service whose role does not own the tables keeps working.
do $$
declare service text;
begin
    for service in
        select distinct grantee::regrole::text from pg_class, aclexplode(relacl)
        where oid = 'images'::regclass and privilege_type = 'INSERT' and grantee not in (0, relowner)
    loop
        execute format('grant select, insert, update, delete on tag_counts, tag_changes to %s', service);
    end loop;
end
$$;
