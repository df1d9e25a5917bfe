"""Who counts as one client."""

import ipaddress

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from kt_images.base_settings import Settings
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


PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("remote", "forwarded", "client"),
    [
        ("10.0.0.3", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.3", [], "10.0.0.3"),
        ("10.0.0.3", ["198.51.100.1, 192.0.2.7"], "192.0.2.7"),  # the first is what the client says of itself
        ("10.0.0.3", ["198.51.100.1", "192.0.2.7"], "192.0.2.7"),
        ("10.0.0.3", ["192.0.2.7, 10.0.0.2"], "192.0.2.7"),  # two proxies
        ("10.0.0.3", ["10.1.1.1"], "10.1.1.1"),  # a client in the proxies' network
        ("10.0.0.3", ["192.0.2.7, unknown"], "10.0.0.3"),
        ("10.0.0.3", ["192.0.2.7, "], "10.0.0.3"),
        ("::ffff:10.0.0.3", ["::ffff:192.0.2.7"], "192.0.2.7"),
        ("fd00::3", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        ("192.0.2.9", ["192.0.2.7"], "192.0.2.9"),  # anybody can send the header
        ("", ["192.0.2.7"], ""),
    ],
)
def test_a_trusted_proxy_is_believed_whom_it_forwards_for(remote, forwarded, client):
    headers = CIMultiDict([("X-Forwarded-For", line) for line in forwarded])
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=remote)
    assert client_of(request, PROXIES) == client


def test_no_proxy_is_trusted_unless_it_is_said():
    assert Settings().trusted_proxies == ()
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": "192.0.2.7"}).clone(remote="127.0.0.1")
    assert client_of(request, Settings().trusted_proxies) == "127.0.0.1"
