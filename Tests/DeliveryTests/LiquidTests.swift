import DeliveryDomain
import Models
import Testing

@Suite struct LiquidTests {
    private func render(_ template: String, _ data: [String: JSON] = [:], html: Bool = true) throws -> String
    {
        let environment = LiquidEnvironment(escapesHTML: html, now: Instant(milliseconds: 1_795_228_200_000))
        return try LiquidTemplate(parsing: template).render(data, in: environment)
    }

    private func mistake(in template: String) -> LiquidError? {
        do throws(LiquidError) {
            _ = try LiquidTemplate(parsing: template)
            return nil
        } catch {
            return error
        }
    }

    @Test("output is escaped in HTML, unless raw says otherwise")
    func escaping() throws {
        let data: [String: JSON] = ["name": "<b>Jo & \"Al\"</b>"]
        #expect(try render("{{ name }}", data) == "&lt;b&gt;Jo &amp; &quot;Al&quot;&lt;/b&gt;")
        #expect(try render("{{ name | raw }}", data) == "<b>Jo & \"Al\"</b>")
        #expect(try render("{{ name }}", data, html: false) == "<b>Jo & \"Al\"</b>")
        #expect(try render("{{ name | escape }}", ["name": "a<b"]) == "a&lt;b")
        #expect(try render("{{ name | raw | upcase }}", ["name": "a<b"]) == "A&lt;B")
        #expect(try render("{{ name | newline_to_br }}", ["name": "a<\nb"]) == "a&lt;<br />\nb")
        #expect(try render("{{ list }}", ["list": ["<", ">"]]) == "&lt;&gt;")
    }

    @Test("what a capture has escaped isn't escaped again")
    func capture() throws {
        #expect(
            try render("{% capture x %}<i>{{ a }}</i>{% endcapture %}{{ x }}", ["a": "<"]) == "<i>&lt;</i>")
    }

    @Test("money is written as people write it")
    func money() throws {
        let data: [String: JSON] = ["p": "1234.5", "q": 1999, "r": 0.1]
        #expect(try render("{{ p | money: 'GBP' }}", data) == "£1,234.50")
        #expect(try render("{{ q | money: 'JPY' }} {{ r | money: 'eur' }}", data) == "¥1,999 €0.10")
        #expect(
            try render("{{ p | money: 'CHF' }} {{ p | minus: 2000 | money: 'USD' }}", data)
                == "1,234.50 CHF -$765.50")
        #expect(try render("{{ none | money: 'GBP' }}") == "")
    }

    @Test("dates are formatted in UTC")
    func dates() throws {
        let data: [String: JSON] = ["at": "2026-02-28T23:59:30.500+01:00"]
        #expect(
            try render("{{ at | date: '%a %-d %b %Y %H:%M:%S.%L' }}", data) == "Sat 28 Feb 2026 22:59:30.500")
        #expect(try render("{{ 'now' | date: '%F %j %I %p' }}") == "2026-11-21 325 02 AM")
        #expect(try render("{{ '2024-02-29' | date: '%e/%m/%y %A' }}") == "29/02/24 Thursday")
        #expect(
            try render("{{ '1969-12-31 23:59:59' | date: '%Y-%m-%d %H:%M:%S %s' }}")
                == "1969-12-31 23:59:59 -1")
    }

    @Test("a mistake is told with its line, its column and what was expected")
    func mistakes() {
        #expect(
            mistake(in: "Hello\n  {{ name | shout }}")
                .map { [$0.line, $0.column] } == [2, 13])
        #expect(
            mistake(in: "{% if a %}x").map { "\($0.line):\($0.column) \($0.expected)" } == "1:1 {% endif %}")
        #expect(mistake(in: "ä {{ a.. }}").map { "\($0.column)" } == "7")
        #expect(mistake(in: "{{ a | append }}")?.expected == "1 arguments")
        #expect(mistake(in: "{{ a")?.expected == "}}")
        #expect(mistake(in: "{% nonsense %}")?.message.contains("nonsense") == true)
        #expect(mistake(in: "{% endif %}")?.expected.contains("opens") == true)
        #expect(mistake(in: "{% for x of y %}{% endfor %}")?.expected == "“in”")
    }

    @Test("a template that asks for too much fails instead of taking everything")
    func limits() {
        let greedy = [
            "{% for a in (1..20000) %}{% for b in (1..20000) %}x{% endfor %}{% endfor %}",
            "{% assign x = 'ab' %}{% for i in (1..100) %}{% assign x = x | append: x %}{% endfor %}",
            "{{ (1..999999999) | join }}",
            "{% assign x = (1..15000) %}{% for i in (1..99) %}{% assign x = x | concat: x %}{% endfor %}",
            "{% assign s = (1..9000) | join: '' %}{{ s | replace: '1', s }}",
        ]
        for template in greedy { #expect(throws: LiquidError.self) { try render(template) } }
        let deep = String(repeating: "{% if true %}", count: 60) + String(repeating: "{% endif %}", count: 60)
        #expect(mistake(in: deep)?.expected == "at most 50")
        #expect(mistake(in: String(repeating: "x", count: 600_000)) != nil)
    }

    @Test("no text crashes the parser or the renderer")
    func nonsense() {
        var generator = seededGenerator("liquid nonsense")
        let pieces = [
            "{{", "}}", "{%", "%}", "-", "if", "endif", "for", "x", "in", "(1..3)", " ", "\n", "|", ":", ",",
            "'", "\"",
            "split", "assign", "=", "case", "when", "else", "raw", "endraw", "comment", "liquid", "[", "]",
            ".", "ä", "9",
            "upcase", "cycle", "tablerow", "#", "date", "99999999999999999999", "\u{0}",
        ]
        for _ in 0..<3_000 {
            let template = (0..<Int.random(in: 1...20, using: &generator)).map { _ in
                pieces[Int.random(in: 0..<pieces.count, using: &generator)]
            }.joined()
            _ = try? render(template, ["x": ["a": 1, "b": [1, 2, 3]]])
        }
    }
}
