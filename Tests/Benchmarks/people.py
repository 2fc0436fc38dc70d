"""Person records with typing errors and gaps, made up from syllables: the same for the same seed.

    .martlet/venv/bin/python Tests/Benchmarks/people.py 200000 people.csv [SEED]

Names are as unevenly spread as real ones (Zipf and Mandelbrot), people live in households that share a surname, an
address and at times a phone, and have one to six records, of which each gets its own mistakes: keys that lie side by
side, letters left out, doubled or swapped, names written as they sound, given name and surname in each other's place,
dates with a wrong part, a change of address, and values that are missing. `person` is the truth.
"""

import bisect
import csv
import itertools
import random
import sys

FIELDS = ["id", "given_name", "surname", "date_of_birth", "street_number", "street", "city", "postcode", "phone",
          "email", "person"]
ONSETS = ["b", "br", "c", "ch", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "sh", "st", "t", "th", "v",
          "w", "", ""]
VOWELS = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ai", "ea", "ee", "ou", "y"]
CODAS = ["", "", "", "n", "r", "l", "s", "m", "t", "ck", "nd", "rt", "ll", "th", "d"]
KEYS = ["qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890"]
SOUNDS = [("ph", "f"), ("ck", "k"), ("ee", "ea"), ("ai", "ay"), ("y", "i"), ("ou", "u"), ("c", "k"), ("ll", "l"),
          ("th", "t"), ("s", "z")]
STREETS = ["street", "road", "avenue", "lane", "close", "place", "drive", "way"]
MAIL = ["mail.example", "post.example", "inbox.example", "web.example", "letters.example"]


class Drawn:
    """Values that are drawn with the frequencies of Zipf and Mandelbrot."""

    def __init__(self, values, exponent, shift):
        self.values = values
        self.sums = list(itertools.accumulate(1 / (rank + shift) ** exponent for rank in range(1, len(values) + 1)))

    def draw(self, rng):
        return self.values[bisect.bisect_left(self.sums, rng.random() * self.sums[-1])]


def words(rng, count, syllables):
    """Different words of one to so many syllables."""
    found = {}
    while len(found) < count:
        word = "".join(
            rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.choice(syllables)))
        if 3 <= len(word) <= 14:
            found.setdefault(word)
    return list(found)


class World:
    """The names there are."""

    def __init__(self, rng):
        self.given = Drawn(words(rng, 2500, [1, 2, 2, 3]), 1.05, 4)
        self.surnames = Drawn(words(rng, 30_000, [1, 2, 2, 3, 3]), 0.95, 10)
        self.streets = Drawn(words(rng, 8_000, [2, 2, 3]), 0.6, 20)
        cities = words(rng, 600, [2, 3])
        self.cities = Drawn([(city, 1000 + index * 14) for index, city in enumerate(cities)], 0.9, 3)

    def address(self, rng):
        city, postcode = self.cities.draw(rng)
        return {
            "street_number": str(int(rng.paretovariate(0.7)) % 400 + 1),
            "street": f"{self.streets.draw(rng)} {rng.choice(STREETS)}", "city": city,
            "postcode": str(postcode + rng.randrange(14)), "phone": f"0{rng.randrange(10**8, 10**9)}"}

    def person(self, rng, family):
        given = self.given.draw(rng)
        home = family or {"surname": self.surnames.draw(rng), **self.address(rng)}
        surname = home["surname"]
        year = min(2008, max(1920, int(rng.gauss(1972, 19))))
        own = dict(home)
        if rng.random() < 0.7:
            own["phone"] = f"0{rng.randrange(10**8, 10**9)}"
        style = rng.randrange(4)
        local = [f"{given}.{surname}", f"{given[0]}{surname}", f"{given}{rng.randrange(1000)}",
                 f"{surname}{year % 100}"][style]
        own |= {
            "given_name": given, "date_of_birth": f"{year}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}",
            "email": f"{local}@{rng.choice(MAIL)}" if style > 1 else f"{local}{rng.randrange(30)}@{rng.choice(MAIL)}"}
        return own, home


def mistyped(rng, text):
    """One typing error."""
    if not text:
        return text
    place = rng.randrange(len(text))
    kind = rng.random()
    if kind < 0.25:
        return text[:place] + text[place + 1:]
    if kind < 0.45 and place + 1 < len(text):
        return text[:place] + text[place + 1] + text[place] + text[place + 2:]
    if kind < 0.6:
        return text[:place] + text[place] + text[place:]
    row = next((row for row in KEYS if text[place] in row), None)
    if row is None:
        return text
    other = row[max(0, min(len(row) - 1, row.index(text[place]) + rng.choice([-1, 1])))]
    return text[:place] + other + text[place + (1 if kind < 0.85 else 0):]


def misheard(rng, text):
    """The text with one sound written another way."""
    fitting = [(a, b) for a, b in SOUNDS if a in text]
    if not fitting:
        return mistyped(rng, text)
    a, b = rng.choice(fitting)
    return text.replace(a, b, 1)


def misdated(rng, text):
    """The date with one part wrong."""
    year, month, day = (int(part) for part in text.split("-"))
    kind = rng.random()
    if kind < 0.3 and day <= 12:
        month, day = day, month
    elif kind < 0.55:
        year += rng.choice([-10, -1, 1, 10])
    elif kind < 0.75:
        month = rng.randrange(1, 13)
    else:
        day = rng.randrange(1, 29)
    return f"{year:04d}-{month:02d}-{day:02d}"


MISSING = {"given_name": 0.04, "surname": 0.03, "date_of_birth": 0.10, "street_number": 0.08, "street": 0.08,
           "city": 0.06, "postcode": 0.08, "phone": 0.30, "email": 0.25}
WRONG = {"given_name": 0.12, "surname": 0.14, "date_of_birth": 0.10, "street_number": 0.05, "street": 0.14,
         "city": 0.07, "postcode": 0.06, "phone": 0.06, "email": 0.07}


def record(rng, world, person, first):
    """One record of the person, with its mistakes."""
    own = dict(person)
    if not first:
        if rng.random() < 0.10:
            own |= world.address(rng)
        if rng.random() < 0.02:
            own["surname"] = world.surnames.draw(rng)
        for field, share in WRONG.items():
            while rng.random() < share:
                if field == "date_of_birth":
                    own[field] = misdated(rng, own[field])
                elif field in ("given_name", "surname") and rng.random() < 0.3:
                    own[field] = misheard(rng, own[field])
                else:
                    own[field] = mistyped(rng, own[field])
        if rng.random() < 0.03:
            own["given_name"], own["surname"] = own["surname"], own["given_name"]
        if rng.random() < 0.02:
            own["given_name"] = own["given_name"][:1]
    for field, share in MISSING.items():
        if rng.random() < share:
            own[field] = ""
    return own


def generate(count, seed=1):
    """So many records, in no order."""
    rng = random.Random(seed)
    world = World(rng)
    rows = []
    family = None
    person = 0
    while len(rows) < count:
        own, home = world.person(rng, family)
        family = home if rng.random() < 0.35 else None
        for number in range(min(6, 1 + int(rng.expovariate(1.1)))):
            rows.append(record(rng, world, own, number == 0) | {"person": person})
        person += 1
    rows = rows[:count]
    rng.shuffle(rows)
    for number, row in enumerate(rows):
        row["id"] = number
    return rows


def write(path, count, seed=1):
    """The records as a CSV file."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(generate(count, seed))


if __name__ == "__main__":
    write(sys.argv[2], int(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
