-- Part 3 of 4: the same with attachments. First it looks for the image of each attachment, which blocks nobody.
--   psql "$POSTGRES_DSN" -v until=200000000 -f 3_attachments.sql
\set ON_ERROR_STOP on
set statement_timeout = 0;
set lock_timeout = '500ms';

alter table attachments validate constraint attachments_image_id_fkey;

begin;
lock table images in share row exclusive mode; -- in the order of an upload; the foreign key needs it
lock table attachments in access exclusive mode;

create temp table made on commit drop as
    select pg_get_triggerdef(oid) as sql from pg_trigger where tgrelid = 'attachments'::regclass and not tgisinternal
    union all
    select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'attachments'::regclass and not indisunique
    union all
    select format('grant %s on attachments to %s', privilege_type, grantee::regrole)
    from pg_class, aclexplode(relacl) where oid = 'attachments'::regclass and grantee not in (0, relowner)
    union all
    select format('alter table attachments owner to %s', relowner::regrole)
    from pg_class where oid = 'attachments'::regclass;

select format('drop trigger %I on attachments', tgname) from pg_trigger
    where tgrelid = 'attachments'::regclass and not tgisinternal \gexec
alter table attachments rename to attachments_1;
select format('alter index %s rename to %I', indexrelid::regclass, replace(relname, 'attachments_', 'attachments_1_'))
    from pg_index join pg_class on pg_class.oid = indexrelid where indrelid = 'attachments_1'::regclass \gexec

-- A key is unique in its range, and so among all: the image's id is part of it.
create table attachments (like attachments_1 including all excluding indexes) partition by range (image_id);
alter table attachments drop constraint attachments_range;
alter table attachments add primary key (image_id, filename);
alter table attachments add constraint attachments_image_id_fkey
    foreign key (image_id) references images on delete cascade;
alter table attachments attach partition attachments_1 for values from (minvalue) to (:until);
select sql from made \gexec
alter table attachments_1 drop constraint attachments_range;
commit;

analyze images, attachments;
