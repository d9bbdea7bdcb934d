"""A pattern with a space of its own."""

from canaries import SecretSpace, get_pattern

team = SecretSpace("team", ("red", "blue", "green", "gold"))
badge = get_pattern("my badge is {team} {digit*3}", spaces={"team": team})


def test_every_secret_of_the_badge_has_one_index():
    assert badge.size == 4 * 10**3
    assert all(badge.index(badge.secret(i)) == i for i in range(0, badge.size, 97))
    assert badge.fill(("gold", "0", "0", "7")) == "my badge is gold 0 0 7"
