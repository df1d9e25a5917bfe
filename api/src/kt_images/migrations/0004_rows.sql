-- Smaller indexes for many rows. Takes some 2 seconds for a million attachments. Blocks whoever reads or changes
-- attachments or deletes images meanwhile (ACCESS EXCLUSIVE on attachments); lists, new images and tags go on.
-- The strongest lock comes first: to strengthen a weaker one may be to wait for somebody who waits for us.
lock table attachments in access exclusive mode;

-- Keys in the order in which a store lists them, whatever the database's locale. No row is written anew.
alter table attachments alter column object_key type text collate "C";

-- Which images have the same bytes. Nobody asks for an order of digests.
drop index if exists attachments_sha256;
create index attachments_sha256 on attachments using hash (sha256);
