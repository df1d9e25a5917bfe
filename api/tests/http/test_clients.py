"""Who counts as one client."""

import pytest
from aiohttp.test_utils import make_mocked_request

from kt_images.http.clients import client_of


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_client_is_its_address_and_of_ipv6_its_network(remote, client):
    assert client_of(make_mocked_request("GET", "/").clone(remote=remote)) == client
