"""What a user's pip configuration means for a client."""

from __future__ import annotations

from pathlib import Path

import pytest

from puffin_api._api.pip_settings import client_options, read_settings, usual_files


def test_nothing_is_read_of_nothing():
    settings = read_settings({}, config_files=[])

    assert settings.index_url is None
    assert [index.name for index in client_options(settings)["indexes"]] == ["pypi"]


def test_variables_win_over_files_and_later_files_over_earlier(tmp_path):
    (tmp_path / "one.conf").write_text("[global]\nindex-url = https://one.invalid/simple\ntimeout = 5\n")
    (tmp_path / "two.conf").write_text("[install]\nindex_url = https://two.invalid/simple\nretries = 2\n")
    files = [tmp_path / "one.conf", tmp_path / "two.conf", tmp_path / "missing.conf"]

    settings = read_settings({}, config_files=files)
    assert (settings.index_url, settings.timeout, settings.retries) == ("https://two.invalid/simple", 5.0, 2)

    settings = read_settings({"PIP_INDEX_URL": "https://three.invalid/simple"}, config_files=files)
    assert settings.index_url == "https://three.invalid/simple"


def test_extra_indexes_come_before_the_main_one(tmp_path):
    environ = {
        "PIP_INDEX_URL": "https://main.invalid/simple",
        "PIP_EXTRA_INDEX_URL": "https://a.invalid/simple https://b.invalid/simple",
        "PIP_FIND_LINKS": "/wheels",
    }

    options = client_options(read_settings(environ, config_files=[]))

    assert [index.url for index in options["indexes"]] == [
        "https://a.invalid/simple",
        "https://b.invalid/simple",
        "https://main.invalid/simple",
    ]
    assert options["find_links"] == ("/wheels",)


def test_an_index_that_is_given_twice_is_asked_once():
    urls = {
        "PIP_INDEX_URL": "https://main.invalid/s",
        "PIP_EXTRA_INDEX_URL": "a:/x https://main.invalid/s a:/x",
    }

    options = client_options(read_settings(urls, config_files=[]))
    assert [index.url for index in options["indexes"]] == ["a:/x", "https://main.invalid/s"]


def test_no_index_leaves_only_find_links():
    options = client_options(read_settings({"PIP_NO_INDEX": "1"}, config_files=[]))

    assert options["indexes"] == []


def test_certificates_proxies_and_hosts(tmp_path):
    environ = {
        "PIP_CERT": str(tmp_path / "ca.pem"),
        "PIP_CLIENT_CERT": str(tmp_path / "me.pem"),
        "PIP_TRUSTED_HOST": "one.invalid two.invalid:8080",
        "HTTPS_PROXY": "http://proxy.invalid:3128",
    }

    options = client_options(read_settings(environ, config_files=[]))

    assert options["tls"].ca_bundle == tmp_path / "ca.pem"
    assert options["tls"].client_certificate == tmp_path / "me.pem"
    assert options["tls"].insecure_hosts == ("one.invalid", "two.invalid:8080")
    assert options["proxy"] == "http://proxy.invalid:3128"


def test_credentials_of_netrc_are_found(tmp_path):
    (tmp_path / ".netrc").write_text("machine index.invalid login me password secret\n")

    options = client_options(read_settings({"HOME": str(tmp_path)}, config_files=[]))

    assert options["credentials"].credentials("https://index.invalid") == ("me", "secret")


@pytest.mark.parametrize("content", ["no section", "[global\n", "\xff\xfe"])
def test_a_file_that_cannot_be_read_counts_as_missing(tmp_path, content):
    (tmp_path / "pip.conf").write_text(content, encoding="latin-1")

    assert read_settings({}, config_files=[tmp_path / "pip.conf"]).index_url is None


def test_the_usual_places_come_from_the_given_environment_alone(tmp_path):
    environ = {"HOME": str(tmp_path), "VIRTUAL_ENV": str(tmp_path / "v"), "PIP_CONFIG_FILE": "/named"}

    files = usual_files(environ)

    assert files[-1] == Path("/named")
    assert tmp_path / ".config" / "pip" / "pip.conf" in files
    assert tmp_path / "v" / "pip.conf" in files
    assert usual_files({"PIP_CONFIG_FILE": "/dev/null"}) == []
