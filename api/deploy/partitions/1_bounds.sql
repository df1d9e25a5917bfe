-- Division of images and attachments into ranges of image_id, part 1 of 4: see docs/scaling.md.
--   psql "$POSTGRES_DSN" -v until=200000000 -f 1_bounds.sql
-- Has PostgreSQL know that all ids of today are below `until`. Reads both tables once, and blocks nobody meanwhile.
\set ON_ERROR_STOP on
set statement_timeout = 0;
set lock_timeout = '500ms';

alter table images drop constraint if exists images_range;
alter table images add constraint images_range check (image_id < :until) not valid;
alter table attachments drop constraint if exists attachments_range;
alter table attachments add constraint attachments_range check (image_id < :until) not valid;

alter table images validate constraint images_range;
alter table attachments validate constraint attachments_range;
