"""The environment, the command line, and where data is kept by default."""

from pathlib import Path

import pytest

from kt_images.base_settings import Settings, read_settings


def test_a_flag_wins_over_the_environment_and_that_over_the_default(monkeypatch):
    assert read_settings([]).port == 8080
    monkeypatch.setenv("KT_IMAGES_PORT", "81")
    assert read_settings([]).port == 81
    assert read_settings(["--port", "82"]).port == 82


def test_the_database_comes_from_its_own_variable(monkeypatch):
    monkeypatch.setenv("POSTGRES_DSN", "dbname=a")
    assert read_settings([]).postgres_dsn == "dbname=a"
    assert read_settings(["--postgres_dsn", "dbname=b"]).postgres_dsn == "dbname=b"


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("port", "x"),
        ("port", "70000"),
        ("chunk_size", "0"),
        ("postgres_dsn", "password=secret nonsense"),
        ("pool_size", "-1"),
    ],
)
def test_a_bad_value_stops_the_start_with_one_sentence_that_names_the_setting(flag, value, capsys):
    with pytest.raises(SystemExit) as end:
        read_settings([f"--{flag}={value}"])
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert f"--{flag}" in error
    assert "secret" not in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("flag", "value", "why"),
    [
        ("port", "abc", "it must be a whole number"),
        ("port", "70000", "it must be at most 65535"),
        ("decode_memory", "1", "it must be at least 67108864"),
        ("grace_period", "x", "it must be a number"),
        ("grace_period", "nan", "it must be a number"),
        ("accel_location", "x", "it must begin and end with a slash"),
        ("store", "s3://B/x", "it must be a folder or a bucket as s3://bucket or s3://bucket/prefix"),
        ("store", "s3://bucket/../x", "it must be a folder or a bucket as s3://bucket or s3://bucket/prefix"),
        ("store", "gs://bucket", "it must be a folder or a bucket as s3://bucket or s3://bucket/prefix"),
        ("store_endpoint", "s3.example.org", "it must be a URL without a path, as in https://s3.example.org"),
        (
            "store_endpoint",
            "https://u:p@s3.example.org",
            "it must be a URL without a path, as in https://s3.example.org",
        ),
        ("store_region", "a b", "it must be the name of a region, as in eu-central-1"),
        ("store_style", "host", "it must be 'path' or 'virtual'"),
        ("store_ca_file", "/nowhere", "it must be a file that is there"),
        ("max_downloads", "0", "it must be at least 1"),
        ("trusted_proxies", "10.0.0.1/8", "it must be networks separated by commas, as in 10.0.0.0/8,fd00::/8"),
        ("trusted_proxies", "web", "it must be networks separated by commas, as in 10.0.0.0/8,fd00::/8"),
        ("thumbnail_widths", "(160, 320)", "it must be numbers from 1 to 16383 separated by commas, as in 160,320"),
        ("thumbnail_widths", "160,0", "it must be numbers from 1 to 16383 separated by commas, as in 160,320"),
        ("eager_widths", "160,161", "they must be among those of --thumbnail_widths"),
        ("eager_widths", "x", "it must be numbers from 1 to 16383 separated by commas, as in 160,320"),
        *(
            ("cors_origins", value, "it must be origins separated by commas, as in https://example.org:8443")
            for value in (
                "*",
                "ftp://example.org",
                "example.org",
                "https://example.org/",
                "https://a.example,b",
                "https://a b",
            )
        ),
        *(
            ("allowed_hosts", value, "it must be names without ports, separated by commas, as in example.org")
            for value in ("*", "example.org:80", "http://example.org", "a b", "a,b/c")
        ),
        *(
            ("base_path", value, "it must begin with a slash and not end with one, as in /pics")
            for value in (
                "pics",
                "/",
                "/pics/",
                "//pics",
                "/a//b",
                "/a/../b",
                "/..",
                "/.",
                "/a?b",
                "https://example.org/a",
            )
        ),
        ("base_path", "/media", "it must not begin like one of the service's own paths"),
        ("base_path", "/images/more", "it must not begin like one of the service's own paths"),
        ("postgres_dsn", "nonsense", "it is not a PostgreSQL connection string"),
    ],
)
def test_the_sentence_says_what_the_value_must_be(flag, value, why, capsys):
    with pytest.raises(SystemExit):
        read_settings([f"--{flag}={value}"])
    name = flag if flag.startswith("postgres") else f"kt_images_{flag}"
    assert capsys.readouterr().err == f"The setting --{flag} ({name.upper()}) is invalid: {why}\n"


def test_the_help_shows_defaults_as_they_are_written_and_no_empty_ones(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        read_settings(["--help"])
    shown = capsys.readouterr().out
    assert "(default: 160,320,640,1280)" in shown
    assert "(default: )" not in shown
    assert read_settings(["--thumbnail_widths=160,320,640,1280"]).thumbnail_widths == Settings().thumbnail_widths


def test_thumbnails_made_at_the_upload_are_some_of_those_that_there_are(monkeypatch):
    assert read_settings([]).eager_widths == (320,)
    assert read_settings(["--thumbnail_widths=160,640"]).eager_widths == ()
    assert read_settings(["--thumbnail_widths=100,200", "--eager_widths=200"]).eager_widths == (200,)
    assert read_settings(["--eager_widths="]).eager_widths == ()
    monkeypatch.setenv("KT_IMAGES_EAGER_WIDTHS", "")
    assert read_settings([]).eager_widths == ()
    assert read_settings(["--eager_widths=160"]).eager_widths == (160,)


def test_origins_are_kept_as_browsers_write_them():
    settings = read_settings(
        ["--cors_origins= HTTPS://Example.org:443, http://a.example:80,http://[::1]:8080 ,http://b:443"]
    )
    assert settings.cors_origins == ("https://example.org", "http://a.example", "http://[::1]:8080", "http://b:443")


def test_paths_and_names_of_proxies_may_be_long_or_dotted():
    assert read_settings(["--base_path=/a/.b/..c/~d-e_f"]).base_path == "/a/.b/..c/~d-e_f"
    assert read_settings(["--allowed_hosts=Example.org, [::1],10.0.0.1"]).allowed_hosts == (
        "example.org",
        "[::1]",
        "10.0.0.1",
    )


def test_an_unknown_flag_is_refused():
    with pytest.raises(SystemExit) as end:
        read_settings(["--nonsense"])
    assert end.value.code == 2


def test_settings_cannot_change_and_show_no_password():
    settings = Settings(postgres_dsn="password=secret")
    assert "secret" not in repr(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory outside a clone, and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return tmp_path


def folders():
    settings = read_settings([])
    return settings.database_dir, settings.uploads_dir


@pytest.mark.parametrize("marker", ["api/src/kt_images", "data/db", "data/images"])
def test_in_a_clone_and_where_an_earlier_run_left_data_it_stays_in_data(elsewhere, marker):
    (elsewhere / marker).mkdir(parents=True)
    assert folders() == (Path("data/db"), Path("data/images"))


def test_elsewhere_data_is_kept_in_the_user_s_own_folder(elsewhere):
    (elsewhere / "data").mkdir()  # anybody's
    database_dir, uploads_dir = folders()
    assert database_dir.is_relative_to(elsewhere / "home")
    assert (database_dir.parent, database_dir.parent.name) == (uploads_dir.parent, "kt-images")
    assert not (elsewhere / "home").exists()  # to read the settings makes nothing


def test_a_folder_that_is_named_is_taken_and_the_other_stays_at_its_default(elsewhere, monkeypatch):
    monkeypatch.setenv("KT_IMAGES_UPLOADS_DIR", "/store")
    default, _ = folders()
    assert folders() == (default, Path("/store"))
    assert read_settings(["--uploads_dir", "/other"]).uploads_dir == Path("/other")
