SELECT pg_catalog.set_config('search_path', '', false);
CREATE FUNCTION public.image_document(image_id bigint, filename text, tags text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((((('{"image_id":'::text || image_id) || ',"filename":'::text) || to_json(filename)) || ',"tags":'::text) || array_to_json(tags)) || '}'::text);
CREATE TABLE public.applied_fixtures (
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.attachments (
    image_id bigint NOT NULL,
    filename text NOT NULL,
    object_key text NOT NULL,
    content_type text NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.images (
    image_id bigint NOT NULL,
    filename text NOT NULL,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    document text GENERATED ALWAYS AS (public.image_document(image_id, filename, tags)) STORED NOT NULL,
    CONSTRAINT images_at_most_64_tags CHECK ((cardinality(tags) <= 64))
);
ALTER TABLE public.images ALTER COLUMN image_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.images_image_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.store (
    only_one boolean DEFAULT true NOT NULL,
    store_id text NOT NULL,
    CONSTRAINT store_only_one_check CHECK (only_one)
);
INSERT INTO public.applied_fixtures VALUES ('01_ddl.sql', '2026-11-24 18:45:18.778055+00');
INSERT INTO public.applied_fixtures VALUES ('02_create-index.sql', '2026-11-24 18:45:18.778055+00');
INSERT INTO public.attachments VALUES (2, 'a.png', '002/2-c463d7223e5544ada3100cf1b247f3db.png', 'image/png', 241, '7d3fa0d3020cbe37bb60e9be6759ec859c247f19b5a54ef1a17210d25669ab74', 9, 9, '2026-11-24 18:45:18.871824+00');
INSERT INTO public.attachments VALUES (3, 'q"ü %.png', '003/3-4b6746f78a1d4f61ba81494844dabb05.png', 'image/png', 276, '5f63dd714b191408ce32764775e356726b77bb046a0f09968b56b756fbe156c9', 10, 9, '2026-11-24 18:45:18.877779+00');
INSERT INTO public.attachments VALUES (2, 'more.png', '002/2-88aee2ee2a8c440aafda6a5519b82206.png', 'image/png', 318, '96d4cac3f96fcb596614953dbee5617b8cc11cfce13f6e4b43a0acdc12d61ef7', 21, 8, '2026-11-24 18:45:18.891676+00');
INSERT INTO public.images OVERRIDING SYSTEM VALUE VALUES (1, 'plain.jpg', '{sea,"Canon, 5D",üüü}', DEFAULT);
INSERT INTO public.images OVERRIDING SYSTEM VALUE VALUES (2, 'a.png', '{sea,2021}', DEFAULT);
INSERT INTO public.images OVERRIDING SYSTEM VALUE VALUES (3, 'q"ü %.png', '{}', DEFAULT);
INSERT INTO public.store VALUES (true, '04b52cc0-12a6-4b96-96aa-f8fa03c4d9ea');
SELECT pg_catalog.setval('public.images_image_id_seq', 4, true);
ALTER TABLE ONLY public.applied_fixtures
    ADD CONSTRAINT applied_fixtures_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT attachments_object_key_key UNIQUE (object_key);
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT attachments_pkey PRIMARY KEY (image_id, filename);
ALTER TABLE ONLY public.images
    ADD CONSTRAINT images_pkey PRIMARY KEY (image_id);
ALTER TABLE ONLY public.store
    ADD CONSTRAINT store_pkey PRIMARY KEY (only_one);
CREATE INDEX attachments_sha256 ON public.attachments USING btree (sha256);
CREATE INDEX images_tags ON public.images USING gin (tags);
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT attachments_image_id_fkey FOREIGN KEY (image_id) REFERENCES public.images(image_id) ON DELETE CASCADE;
