import IdentityDomain
import Models
import Testing

@Suite("Comparing two values")
struct ComparatorTests {
    @Test(
        "Jaro–Winkler gives the values that Winkler published",
        arguments: [
            ("martha", "marhta", 0.961), ("dwayne", "duane", 0.840), ("dixon", "dicksonx", 0.813),
            ("jones", "johnson", 0.832), ("massey", "massie", 0.933), ("abroms", "abrams", 0.922),
            ("shackleford", "shackelford", 0.982), ("dunningham", "cunnigham", 0.896),
            ("nichleson", "nichulson", 0.956), ("itman", "smith", 0.467), ("abc", "xyz", 0),
        ])
    func published(_ a: String, _ b: String, _ similarity: Double) {
        #expect(abs(JaroWinkler.similarity(a, b) - similarity) < 0.001)
        #expect(abs(JaroWinkler.similarity(b, a) - similarity) < 0.001)
    }

    @Test(
        "edits are counted, two neighbours that changed places as one",
        arguments: [
            ("kitten", "sitting", 3), ("ca", "abc", 3), ("smith", "smiht", 1), ("", "abc", 3),
            ("same", "same", 0),
            ("saturday", "sunday", 3), ("a", "b", 1),
        ])
    func edits(_ a: String, _ b: String, _ count: Int) {
        #expect(EditDistance.between(a, b) == count)
        #expect(EditDistance.between(b, a) == count)
    }

    @Test("the edit distance of random words is that of the matrix")
    func matrix() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<2_000 {
            let words = (0..<2).map { _ in
                String(
                    (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                        Character(["a", "b", "c", "d"].randomElement(using: &generator) ?? "a")
                    })
            }
            #expect(
                EditDistance.between(words[0], words[1]) == slow(Array(words[0]), Array(words[1])), "\(words)"
            )
        }
    }

    private func slow(_ a: [Character], _ b: [Character]) -> Int {
        var rows = [Array(0...b.count)]
        for i in 0..<a.count {
            var row = [i + 1]
            for j in 0..<b.count {
                var least = min(rows[i][j] + (a[i] == b[j] ? 0 : 1), rows[i][j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    least = min(least, rows[i - 1][j - 1] + 1)
                }
                row.append(least)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }

    @Test(
        "names that sound alike share a code",
        arguments: [("Katherine", "Catherine"), ("Smith", "Smyth"), ("Robert", "Rupert"), ("Meyer", "Maier")])
    func sounds(_ a: String, _ b: String) {
        #expect(Phonetics.alike(a, b))
        #expect(!Phonetics.alike(a, "Wolfgang"))
    }

    @Test(
        "values agree at the level that fits",
        arguments: [
            (MatchField.givenName, "Maria", "maría", "equal"),
            (.givenName, "maria", "marai", "one letter apart"),
            (.surname, "O'Neil", "ONEIL", "equal"), (.surname, "Ferguson", "serguFon", "alike"),
            (.givenName, "J.", "Jane", "initial"), (.surname, "smith", "walker", "different"),
            (.dateOfBirth, "1971-06-24", "19710624", "equal"),
            (.dateOfBirth, "1971-06-24", "24/06/1971", "equal"),
            (.dateOfBirth, "1971-06-24", "1971-06-25", "one slip apart"),
            (.dateOfBirth, "1971-02-03", "1971-03-02", "one slip apart"),
            (.dateOfBirth, "1971-06-24", "1917-06-24", "one slip apart"),
            (.dateOfBirth, "1971-06-24", "1971-06-03", "two of day, month and year"),
            (.dateOfBirth, "1971-06-24", "1949-11-02", "different"),
            (.postcode, "SW1A 1AA", "sw1a1aa", "equal"), (.postcode, "4019", "4109", "one character apart"),
            (.phone, "+44 20 7946 0018", "020 7946 0018", "equal"),
            (.email, "Anna@x.org", "anna@x.org", "equal"),
            (.email, "anna.lee@x.org", "anna.lee@y.com", "same before the @"),
            (.address, "12 Archibald Street", "Archibald Street 12", "nearly equal"),
            (.address, "musgrave street", "musgravestreet", "nearly equal"),
            (.city, "Bolton", "Blton", "one letter apart"),
            (.yearOfBirth, "1980", "1981", "one apart"), (.sex, "f", "m", "different"),
        ])
    func levels(_ field: MatchField, _ a: String, _ b: String, _ level: String) throws {
        // A name beside it, for nobody is told apart by the sex alone.
        let table = MatchTable(
            try MatchSchema([field, .text]), columns: [[a, b], ["one", "one"]])
        let explanation = RecordMatching(table).explain(0, 1)
        #expect(explanation.fields[0].level == level)
    }

    @Test(
        "placeholders and blanks are missing values, which say nothing",
        arguments: [nil, "", "  ", "null", "N/A", "-"])
    func missing(_ value: String?) throws {
        let table = MatchTable(
            try MatchSchema([.surname, .text]), columns: [[value, "smith"], ["x", "x"]])
        let evidence = RecordMatching(table).explain(0, 1).fields[0]
        #expect(evidence.level == nil)
        #expect(evidence.weight == 0 && evidence.rarity == 0)
    }
}
