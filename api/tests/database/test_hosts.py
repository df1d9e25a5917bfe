"""One connection string, many hosts."""

from kt_images.database.hosts import addresses, preferring_standbys


async def listed(dsn):
    keys = ("host", "hostaddr", "port", "target_session_attrs")
    return [tuple(address.get(key) for key in keys) async for address in addresses(dsn)]


async def test_each_host_has_its_port_and_a_single_port_applies_to_all():
    assert await listed("host=/a,/b port=1,2") == [("/a", None, "1", "any"), ("/b", None, "2", "any")]
    assert await listed("host=/a,/b port=7") == [("/a", None, "7", "any"), ("/b", None, "7", "any")]


async def test_a_url_with_several_hosts():
    assert await listed("postgresql://127.0.0.1:1,127.0.0.2:2/x?target_session_attrs=read-write") == [
        ("127.0.0.1", "127.0.0.1", "1", "read-write"),
        ("127.0.0.2", "127.0.0.2", "2", "read-write"),
    ]


async def test_a_preference_for_standbys_tries_all_hosts_twice():
    assert [(host, wish) for host, _, _, wish in await listed(preferring_standbys("host=/a,/b"))] == [
        ("/a", "standby"),
        ("/b", "standby"),
        ("/a", "any"),
        ("/b", "any"),
    ]
    assert "read-only" in preferring_standbys("host=/a target_session_attrs=read-only")


async def test_names_are_resolved_and_unknown_ones_skipped():
    found = await listed("host=nowhere.invalid,localhost")
    assert found
    assert {host for host, *_ in found} == {"localhost"}
    assert all(address for _, address, *_ in found)


async def test_without_a_host_libpq_chooses():
    assert await listed("dbname=x") == [(None, None, None, "any")]
