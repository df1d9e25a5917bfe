-- Part 2 of 4: images becomes images_1, the first range of a new images. Moves no row: a matter of milliseconds, in
-- which nobody reads or changes images. If it ends with a lock timeout, a list is under way and nothing is changed: try
-- again. It gives up sooner than PostgreSQL looks for deadlocks (deadlock_timeout), so that it is never an upload's fault.
--   psql "$POSTGRES_DSN" -v until=200000000 -f 2_images.sql
\set ON_ERROR_STOP on
set lock_timeout = '500ms';

begin;
lock table images, attachments in access exclusive mode;

-- What refers to the table by its name, to be made again for the new one. Indexes of constraints come with those.
create temp table made on commit drop as
    select pg_get_triggerdef(oid) as sql from pg_trigger where tgrelid = 'images'::regclass and not tgisinternal
    union all
    select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'images'::regclass and not indisprimary
    union all
    select format('grant %s on images to %s', privilege_type, grantee::regrole)
    from pg_class, aclexplode(relacl) where oid = 'images'::regclass and grantee not in (0, relowner)
    union all
    select format('grant %s on sequence images_image_id_seq to %s', privilege_type, grantee::regrole)
    from pg_class, aclexplode(relacl) where oid = 'images_image_id_seq'::regclass and grantee not in (0, relowner)
    union all
    select format('alter table images owner to %s', relowner::regrole) from pg_class where oid = 'images'::regclass;

-- No id is given out from here to the end, and none twice.
alter sequence images_image_id_seq no cycle;
select last_value + 1 as next from images_image_id_seq \gset

select format('drop trigger %I on images', tgname) from pg_trigger
    where tgrelid = 'images'::regclass and not tgisinternal \gexec
alter table attachments drop constraint attachments_image_id_fkey;
alter table images alter image_id drop identity;
alter table images rename to images_1;
select format('alter index %s rename to %I', indexrelid::regclass, replace(relname, 'images_', 'images_1_'))
    from pg_index join pg_class on pg_class.oid = indexrelid where indrelid = 'images_1'::regclass \gexec

create table images (like images_1 including all excluding indexes) partition by range (image_id);
alter table images drop constraint images_range;
alter table images add primary key (image_id);
alter table images alter image_id add generated always as identity;
alter sequence images_image_id_seq restart with :next;
alter table images attach partition images_1 for values from (minvalue) to (:until);
select sql from made \gexec

-- Every row is known to have its image; part 3 has PostgreSQL know it again.
alter table attachments add constraint attachments_image_id_fkey
    foreign key (image_id) references images on delete cascade not valid;
alter table images_1 drop constraint images_range;
commit;
