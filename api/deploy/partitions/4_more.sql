-- Part 4 of 4, and again before the last range is full: adds so many ranges, each of so many ids. Without a range for
-- it no image is stored.
--   psql "$POSTGRES_DSN" -v size=10000000 -v count=10 -f 4_more.sql
\set ON_ERROR_STOP on
set lock_timeout = '500ms';

select max((regexp_match(pg_get_expr(relpartbound, oid), 'TO \(''?(\d+)'))[1]::bigint) as last, count(*) as ranges
    from pg_inherits join pg_class on oid = inhrelid where inhparent = 'images'::regclass \gset

begin;
select
    format('create table images_%s partition of images for values from (%s) to (%s)', name, first, first + :size),
    format('create table attachments_%s partition of attachments for values from (%s) to (%s)', name, first, first + :size),
    format('alter table attachments_%s add unique (object_key)', name)
from (select :ranges + n as name, :last + (n - 1) * :size as first from generate_series(1, :count) as n) as new \gexec
commit;
