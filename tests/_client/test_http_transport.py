"""Urllib3Transport against real sockets: redirects, logins, retries, errors, waking."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from puffin_api._client.auth import Credentials
from puffin_api._client.retry import Retries, pause
from puffin_api._client.transport import MOST_REDIRECTS
from puffin_api._model.cancel import CancelToken
from puffin_api._model.options import Index, RetryPolicy, Timeouts, Tls
from puffin_api.errors import (
    AuthenticationRequired,
    Cancelled,
    ConnectFailed,
    DeadlineExceeded,
    Forbidden,
    ProxyFailed,
    RateLimited,
    ServerError,
    TimedOut,
    TlsVerificationFailed,
)


def get(transport, url, cancel=None, **headers):
    with transport.open(url, headers=headers, cancel=cancel) as response:
        return response, b"".join(response.chunks())


def test_an_answer_has_status_url_headers_and_body(serve, make_transport):
    server = serve()
    server.page("/x", "hello", Content_Type="text/plain")

    response, body = get(make_transport(user_agent="me/1"), f"{server.origin}/x")

    assert (response.status, response.url, body) == (200, f"{server.origin}/x", b"hello")
    assert response.headers["content-type"] == "text/plain"
    asked = server.requests[0].headers
    assert asked["user-agent"] == "me/1"
    assert asked["accept-encoding"] == "identity"


def test_a_connection_is_used_again(serve, make_transport):
    server = serve({"a": ["1"]})
    transport = make_transport()
    for _ in range(3):
        get(transport, f"{server.url}a/")
        get(transport, f"{server.url}missing/")

    assert server.count() == 6
    assert server.connections_made == 1


def test_an_unread_body_does_not_spoil_the_next_answer(serve, make_transport):
    server = serve()
    server.page("/large", b"x" * 3_000_000)
    server.page("/small", b"small")
    transport = make_transport()
    with transport.open(f"{server.origin}/large", headers={}) as response:
        assert next(iter(response.chunks(10))) == b"x" * 10

    assert get(transport, f"{server.origin}/small")[1] == b"small"


@pytest.mark.parametrize("status", [404, 410])
def test_not_found_is_an_answer(serve, make_transport, status):
    server = serve()
    server.page("/x", "no", status=status)

    assert get(make_transport(), f"{server.origin}/x")[0].status == status


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthenticationRequired), (403, Forbidden), (400, ServerError), (501, ServerError)],
)
def test_a_status_of_no_use_is_a_typed_error_and_not_repeated(serve, make_transport, status, error):
    server = serve()
    server.page("/x", "", status=status)

    with pytest.raises(error) as caught:
        get(make_transport(), f"{server.origin}/x")

    assert caught.value.url == f"{server.origin}/x"
    assert server.count() == 1


def test_the_origin_is_named_that_wants_a_login(serve, make_transport):
    server = serve(login=("u", "p"))
    with pytest.raises(AuthenticationRequired) as caught:
        get(make_transport(), f"{server.origin}/x")

    assert caught.value.origin == server.origin


# -- redirects


def test_a_relative_redirect_leads_on_and_the_final_url_is_told(serve, make_transport):
    server = serve()
    server.redirect("/a/b", "../c/d?e=f#fragment")
    server.page("/c/d?e=f", "there")

    response, body = get(make_transport(), f"{server.origin}/a/b")

    assert body == b"there"
    assert response.url == f"{server.origin}/c/d?e=f"


def test_endless_redirects_end(serve, make_transport):
    server = serve()
    server.redirect("/a", "/a")
    with pytest.raises(ServerError, match="redirects"):
        get(make_transport(), f"{server.origin}/a")

    assert server.count() == MOST_REDIRECTS + 1


def test_a_redirect_to_the_disk_is_refused(serve, make_transport):
    server = serve()
    server.redirect("/a", "file:///etc/hostname")
    with pytest.raises(ServerError, match="no web address"):
        get(make_transport(), f"{server.origin}/a")


def test_a_login_does_not_follow_a_redirect_to_another_origin(serve, make_transport):
    home, other = serve(), serve()
    home.redirect("/a", f"{other.origin}/b")
    other.page("/b", "there")
    address = home.origin.replace("://", "://user:secret@")
    credentials = Credentials.of([Index(f"{home.origin}/", credentials=("u", "p"))])
    transport = make_transport(credentials=credentials)
    for url in (f"{home.origin}/a", f"{address}/a"):
        get(transport, url, Authorization="Basic c2VjcmV0")

    assert all("authorization" in asked.headers for asked in home.requests)
    assert other.requests
    assert not any("authorization" in asked.headers for asked in other.requests)


def test_a_login_is_sent_again_where_a_redirect_comes_home(serve, make_transport):
    home, other = serve(login=("u", "p")), serve()
    home.redirect("/a", f"{other.origin}/b")
    other.redirect("/b", f"{home.origin}/c")
    home.page("/c", "home")
    transport = make_transport(credentials=Credentials.of([Index(home.url, credentials=("u", "p"))]))

    assert get(transport, f"{home.origin}/a")[1] == b"home"
    assert "authorization" not in other.requests[0].headers


# -- logins


class Provider:
    def __init__(self, login):
        self.login = login
        self.asked = []

    def credentials(self, origin):
        self.asked.append(origin)
        return self.login


def test_a_provider_is_asked_only_when_a_login_is_wanted_and_once(serve, make_transport):
    open_server, closed = serve({"a": ["1"]}), serve({"a": ["1"]}, login=("u", "p"))
    provider = Provider(("u", "p"))
    transport = make_transport(credentials=Credentials(provider))
    get(transport, f"{open_server.url}a/")
    for _ in range(3):
        assert get(transport, f"{closed.url}a/")[0].status == 200

    assert provider.asked == [closed.origin]
    assert closed.count() == 4, "the first is sent twice, then the login is known"


def test_a_wrong_login_is_tried_once(serve, make_transport):
    server = serve(login=("u", "p"))
    provider = Provider(("u", "wrong"))
    with pytest.raises(AuthenticationRequired):
        get(make_transport(credentials=Credentials(provider)), f"{server.origin}/x")

    assert server.count() == 2


def test_no_error_shows_a_login(serve, make_transport):
    server = serve()
    address = server.origin.replace("://", "://user:s3cret@")
    transport = make_transport()
    server.page("/denied", "", status=403)
    server.redirect("/loop", "/loop")
    server.fail("/reset", times=9, reset=True)
    for path in ("denied", "loop", "reset"):
        with pytest.raises((Forbidden, ServerError, ConnectFailed)) as caught:
            get(transport, f"{address}/{path}")

        assert "s3cret" not in f"{caught.value} {caught.value.to_dict()} {caught.value.hint}"


# -- retries


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"status": 408}, {"reset": True}])
def test_what_passes_is_tried_again_with_growing_pauses(serve, make_transport, clock, fault):
    server = serve()
    server.page("/x", "good")
    server.fail("/x", times=2, **fault)

    assert get(make_transport(), f"{server.origin}/x")[1] == b"good"
    assert clock.slept == [0.3, 0.6]


def test_the_server_says_how_long_to_wait(serve, make_transport, clock):
    server = serve()
    server.page("/x", "good")
    server.fail("/x", status=503, headers={"Retry-After": "7"})
    server.fail("/x", status=429, headers={"Retry-After": "Tue, 14 Nov 2023 22:13:36 GMT"})

    get(make_transport(), f"{server.origin}/x")

    assert clock.slept == [7.0, 9.0], "the date is 16 seconds after the clock's start"


def test_a_wait_that_is_too_long_is_not_waited(serve, make_transport, clock):
    server = serve()
    server.fail("/x", status=429, headers={"Retry-After": "3600"})
    with pytest.raises(RateLimited) as caught:
        get(make_transport(), f"{server.origin}/x")

    assert caught.value.retry_after == 3600
    assert clock.slept == []


def test_the_tries_come_to_an_end(serve, make_transport, clock):
    server = serve()
    server.fail("/x", times=99, status=500)
    with pytest.raises(ServerError) as caught:
        get(make_transport(), f"{server.origin}/x")

    assert caught.value.status == 500
    assert server.count() == 3


def test_a_closed_port_is_a_failed_connection(make_transport, clock):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(ConnectFailed, match="refused"):
        get(make_transport(), f"http://127.0.0.1:{port}/x")

    assert len(clock.slept) == 2


def test_a_host_that_does_not_exist_is_not_tried_again(make_transport, clock, monkeypatch):
    def unknown(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectFailed, match="not known"):
        get(make_transport(), "https://nowhere.invalid/x")

    assert clock.slept == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http:///x", "nonsense"])
def test_what_is_no_web_address_is_refused(make_transport, clock, url):
    with pytest.raises(ConnectFailed):
        get(make_transport(), url)

    assert clock.slept == []


def test_a_silent_server_times_out(serve, make_transport):
    server = serve()
    server.page("/x", "never")
    server.fail("/x", times=9, stall=True)
    transport = make_transport(timeouts=Timeouts(connect=5, idle=0.05))
    with pytest.raises(TimedOut) as caught:
        get(transport, f"{server.origin}/x")

    assert caught.value.phase == "idle"


def test_the_whole_exchange_has_a_limit(serve, make_transport):
    server = serve()
    server.page("/x", "never")
    server.fail("/x", times=9, stall=True)
    transport = make_transport(timeouts=Timeouts(connect=5, idle=5, total=0.05))
    with pytest.raises(TimedOut) as caught:
        get(transport, f"{server.origin}/x")

    assert caught.value.phase == "total"


def test_a_body_that_is_cut_short_is_an_error(serve, make_transport):
    server = serve()
    server.page("/x", b"0123456789")
    server.fail("/x", truncate=4)
    with pytest.raises(ConnectFailed):
        get(make_transport(), f"{server.origin}/x")


def test_a_proxy_that_is_not_there_is_the_proxys_failure(make_transport, serve):
    server = serve()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{unused.getsockname()[1]}"
    for url in (f"{server.origin}/x", server.origin.replace("http:", "https:")):
        with pytest.raises(ProxyFailed):
            get(make_transport(proxy=proxy), url)

    assert server.count() == 0


def test_plain_requests_go_through_the_proxy_whole_and_with_its_login(make_transport, serve):
    proxy = serve()
    proxy.page("http://elsewhere.invalid/x", "through")
    address = proxy.origin.replace("://", "://me:pw@")
    transport = make_transport(proxy=lambda origin: address if "elsewhere" in origin else None)

    assert get(transport, "http://elsewhere.invalid/x")[1] == b"through"
    assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")


# -- TLS

IDENTITY = Path(__file__).with_name("loopback_identity.pem")


@pytest.fixture
def secure(serve):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(IDENTITY)
    server = serve(tls=context)
    server.page("/x", "hello" * 50_000)
    return server


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(secure, make_transport, clock):
    with pytest.raises(TlsVerificationFailed) as caught:
        get(make_transport(), f"{secure.origin}/x")

    assert caught.value.host == secure.origin.removeprefix("https://")
    assert "self-signed" in str(caught.value)
    assert not caught.value.retryable
    assert clock.slept == []


@pytest.mark.parametrize(
    "tls",
    [
        Tls(ca_bundle=IDENTITY),
        Tls(insecure_hosts=("127.0.0.1",)),
        Tls(ca_bundle=IDENTITY, client_certificate=IDENTITY),
    ],
)
def test_a_bundle_or_an_insecure_host_is_the_callers_choice(secure, make_transport, tls):
    transport = make_transport(tls=tls)
    for _ in range(2):
        assert len(get(transport, f"{secure.origin}/x")[1]) == 250_000


def test_an_insecure_host_may_be_named_with_its_port(secure, make_transport):
    place = secure.origin.removeprefix("https://")
    assert get(make_transport(tls=Tls(insecure_hosts=(place,))), f"{secure.origin}/x")[1]
    with pytest.raises(TlsVerificationFailed):
        get(make_transport(tls=Tls(insecure_hosts=("127.0.0.1:1",))), f"{secure.origin}/x")


def test_a_bundle_that_cannot_be_read_is_told(secure, make_transport, tmp_path):
    with pytest.raises(TlsVerificationFailed, match="cannot be read"):
        get(make_transport(tls=Tls(ca_bundle=tmp_path / "none.pem")), f"{secure.origin}/x")


def test_tls_to_a_server_that_speaks_none_is_a_failed_connection(serve, make_transport):
    server = serve()
    with pytest.raises(ConnectFailed):
        get(make_transport(), server.origin.replace("http:", "https:"))


def test_tls_goes_through_the_proxy_in_a_tunnel(serve, secure, make_transport):
    proxy = serve()
    address = proxy.origin.replace("://", "://me:pw@")
    transport = make_transport(proxy=address, tls=Tls(ca_bundle=IDENTITY))

    assert len(get(transport, f"{secure.origin}/x")[1]) == 250_000
    (asked,) = proxy.requests
    assert asked.path == secure.origin.removeprefix("https://")
    assert asked.headers["proxy-authorization"].startswith("Basic ")
    assert "proxy-authorization" not in secure.requests[0].headers


def test_a_tunnel_that_is_refused_is_the_proxys_failure(serve, secure, make_transport, clock):
    proxy = serve()
    proxy.fail("", times=9, status=407)
    with pytest.raises(ProxyFailed, match="407"):
        get(make_transport(proxy=proxy.origin, tls=Tls(ca_bundle=IDENTITY)), f"{secure.origin}/x")

    assert clock.slept == []


def test_a_cancel_wakes_a_blocked_read_over_tls(secure, make_transport):
    secure.fail("/x", stall=True)
    transport = make_transport(tls=Tls(ca_bundle=IDENTITY), timeouts=Timeouts(connect=60, idle=60))
    token = CancelToken()
    asked = threading.Thread(target=lambda: (_until(lambda: secure.count() == 1), token.cancel()))
    asked.start()
    with pytest.raises(Cancelled):
        get(transport, f"{secure.origin}/x", cancel=token)
    asked.join(10)


def test_a_cancel_wakes_a_handshake(make_transport):
    """The server takes the connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        transport = make_transport(timeouts=Timeouts(connect=60, idle=60))
        token = CancelToken()

        def cancel():
            accepted.append(mute.accept()[0])
            accepted[0].recv(1)  # the client's hello: it is waiting for ours
            token.cancel()

        accepted = []
        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(Cancelled):
            get(transport, f"https://127.0.0.1:{mute.getsockname()[1]}/x", cancel=token)
        thread.join(10)
        accepted[0].close()


# -- waking


def test_a_cancel_wakes_a_blocked_read(serve, make_transport):
    server = serve()
    server.page("/x", b"never")
    server.fail("/x", stall=True)
    transport = make_transport(timeouts=Timeouts(connect=60, idle=60))
    token = CancelToken()
    asked = threading.Thread(target=lambda: (_until(lambda: server.count() == 1), token.cancel("enough")))
    asked.start()
    with pytest.raises(Cancelled) as caught:
        get(transport, f"{server.origin}/x", cancel=token)
    asked.join(10)

    assert caught.value.reason == "enough"


def test_closing_wakes_a_blocked_read_and_refuses_further_work(serve, make_transport):
    server = serve()
    server.page("/x", b"never")
    server.fail("/x", stall=True)
    transport = make_transport(timeouts=Timeouts(connect=60, idle=60))
    asked = threading.Thread(target=lambda: (_until(lambda: server.count() == 1), transport.close()))
    asked.start()
    with pytest.raises(Cancelled) as caught:
        get(transport, f"{server.origin}/x")
    asked.join(10)

    assert caught.value.reason == "closed"
    with pytest.raises(Cancelled):
        get(transport, f"{server.origin}/x")


def test_a_deadline_ends_a_blocked_read(serve, make_transport):
    server = serve()
    server.page("/x", b"never")
    server.fail("/x", times=9, stall=True)
    with pytest.raises(DeadlineExceeded):
        get(make_transport(), f"{server.origin}/x", cancel=CancelToken.deadline(0.05))


def test_a_cancel_ends_a_pause():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        pause(3600, token)
    with pytest.raises(DeadlineExceeded):
        pause(3600, CancelToken.deadline(0.01))


def test_a_cancelled_exchange_leaves_the_connections_of_others_alone(serve, make_transport):
    server = serve({"a": ["1"]})
    transport = make_transport()
    token = CancelToken()
    with transport.open(f"{server.url}a/", headers={}, cancel=token) as response:
        for _ in response.chunks():
            pass
        token.cancel()  # the connection is the pool's again

    get(transport, f"{server.url}a/")

    assert server.connections_made == 1


def test_pauses_are_spread_by_chance_and_bounded():
    slept = []
    retries = Retries(
        RetryPolicy(attempts=9, backoff=1, longest=3), sleep=lambda s, _: slept.append(s), chance=lambda: 0.0
    )
    for attempt in (1, 2, 3, 4):
        assert retries.wait(attempt)

    assert slept == [0.5, 1.0, 1.5, 1.5]


# -- file:


def test_a_local_folder_is_a_page_of_its_files(tmp_path, make_transport):
    (tmp_path / "a b.whl").write_bytes(b"x")
    response, body = get(make_transport(), tmp_path.as_uri())

    assert response.url == f"{tmp_path.as_uri()}/"
    assert b'href="a%20b.whl"' in body


def test_local_files_know_ranges_and_conditions(tmp_path, make_transport):
    (tmp_path / "index.html").write_bytes(b"0123456789")
    url = f"{tmp_path.as_uri()}/"
    transport = make_transport()
    response, body = get(transport, url)
    assert (body, response.headers["content-type"]) == (b"0123456789", "text/html")
    file = f"{url}index.html"

    assert get(transport, file, Range="bytes=-3")[1] == b"789"
    assert get(transport, file, Range="bytes=2-4")[1] == b"234"
    assert get(transport, file, Range="bytes=2-4")[0].headers["content-range"] == "bytes 2-4/10"
    assert get(transport, file, Range="bytes=10-")[0].status == 416
    assert get(transport, url, **{"If-None-Match": response.headers["etag"]})[0].status == 304
    assert get(transport, f"{url}none")[0].status == 404


def _until(condition) -> None:
    waiter = threading.Event()
    while not condition():
        waiter.wait(0.002)
