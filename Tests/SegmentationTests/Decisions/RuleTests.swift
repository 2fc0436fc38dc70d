import Models
import SegmentationDomain
import Testing

@Suite("Rules")
struct RuleTests {
    @Test("random rules read, write and read again as the same rule")
    func roundTrip() throws {
        var rules = RandomRules(generator: SeededGenerator(seed: 7))
        for _ in 0..<500 {
            let condition = try RuleReader.read(rules.rule(depth: 4))
            #expect(try RuleReader.read(condition.json) == condition)
            #expect(!condition.text.isEmpty)
        }
    }

    @Test(
        "what is wrong is named with its path",
        arguments: [
            (#"{}"#, ""), (#"[]"#, ""), (#"{"all": []}"#, "all"), (#"{"all": [1]}"#, "all.0"),
            (#"{"most": {}}"#, "most"), (#"{"not": {"count": {}}}"#, "not.count.event"),
            (#"{"count": {"event": ""}}"#, "count.event"), (#"{"count": {"event": []}}"#, "count.event"),
            (#"{"count": {"event": "A", "type": "click"}}"#, "count.type"),
            (#"{"count": {"event": "A", "within": "10y"}}"#, "count.within"),
            (#"{"count": {"event": "A", "within": "3661d"}}"#, "count.within"),
            (#"{"count": {"event": "A", "within": "0s"}}"#, "count.within"),
            (#"{"count": {"event": "A", "within": {"days": 0, "zone": "UTC"}}}"#, "count.within.days"),
            (#"{"count": {"event": "A", "within": {"days": 3661, "zone": "UTC"}}}"#, "count.within.days"),
            (#"{"count": {"event": "A", "within": {"days": 1}}}"#, "count.within.zone"),
            (#"{"count": {"event": "A", "within": {"days": 1, "zone": "CET"}}}"#, "count.within.zone"),
            (#"{"count": {"event": "A", "within": {"day": 1, "zone": "UTC"}}}"#, "count.within.day"),
            (#"{"count": {"event": "A", "within": "1d", "since": "2026-01-01T00:00:00Z"}}"#, "count.since"),
            (#"{"count": {"event": "A", "since": "2026-01-01"}}"#, "count.since"),
            (
                #"{"count": {"event": "A", "since": {"date": "2026-02-29", "zone": "UTC"}}}"#,
                "count.since.date"
            ),
            (#"{"count": {"event": "A", "between": [3, 2]}}"#, "count.between.1"),
            (#"{"count": {"event": "A", "atLeast": 1001}}"#, "count.atLeast"),
            (#"{"count": {"event": "A", "atMost": 3, "sameValueOf": "sku"}}"#, "count"),
            (
                #"{"count": {"event": "A", "where": [{"property": "a..b", "equals": 1}]}}"#,
                "count.where.0.property"
            ),
            (#"{"count": {"event": "A", "where": [{"property": "a"}]}}"#, "count.where.0"),
            (
                #"{"count": {"event": "A", "where": [{"property": "a", "atLeast": "x"}]}}"#,
                "count.where.0.atLeast"
            ),
            (
                #"{"count": {"event": "A", "where": [{"property": "a", "atLeast": 1, "ignoreCase": true}]}}"#,
                "count.where.0.ignoreCase"
            ),
            (#"{"count": {"event": "A", "where": [{"any": "a", "where": []}]}}"#, "count.where.0.any"),
            (#"{"count": {"event": "A", "where": [{"any": "a[]", "where": []}]}}"#, "count.where.0.where"),
            (
                #"{"count": {"event": "A", "where": [{"property": "a", "withinNext": "soon"}]}}"#,
                "count.where.0.withinNext"
            ),
            (#"{"unanswered": {"event": "A", "for": "1h"}}"#, "unanswered.by"),
            (
                #"{"unanswered": {"event": "A", "by": {"event": "B"}, "for": "1h", "within": "1h"}}"#,
                "unanswered.within"
            ),
            (#"{"sum": {"event": "A", "atLeast": 1}}"#, "sum.property"),
            (#"{"average": {"event": "A", "property": "p", "between": [2, 1.5]}}"#, "average.between.1"),
            (#"{"distinct": {"event": "A", "property": "p"}}"#, "distinct"),
            (#"{"ratio": {"of": {"event": "A"}, "atLeast": 1}}"#, "ratio.to"),
            (#"{"ratio": {"of": {"event": "A"}, "to": {"event": "B", "within": "1d"}}}"#, "ratio.to.within"),
            (#"{"age": {"trait": "birthday", "atLeast": 18}}"#, "age.zone"),
            (#"{"age": {"trait": "birthday", "atLeast": 151, "zone": "UTC"}}"#, "age.atLeast"),
            (#"{"identifier": {"type": "e mail"}}"#, "identifier.type"),
            (#"{"context": {"property": "location.country"}}"#, "context"),
            (#"{"segment": "Big Spenders"}"#, "segment"),
            (#"{"first": {"event": "A"}}"#, "first"),
            (#"{"sequence": {"steps": [{"event": "A"}]}}"#, "sequence.steps"),
            (
                #"{"sequence": {"steps": [{"event": "A", "in": "1d"}, {"event": "B"}]}}"#,
                "sequence.steps.0.in"
            ),
            (
                #"{"sequence": {"steps": [{"event": "A"}, {"not": {"event": "B"}}]}}"#,
                "sequence.steps.1.within"
            ),
            (
                #"{"sequence": {"steps": [{"event": "A"}, {"not": {"event": "B"}, "within": "1d"}, {"event": "C"}]}}"#,
                "sequence.steps.1.not"
            ),
            (
                #"{"sequence": {"steps": [{"event": "A"}, {"not": {"event": "B"}, "within": "1d"}], "within": "24h"}}"#,
                "sequence.within"
            ),
            (#"{"first": {"event": "A", "ago": {"between": ["2d", "1d"]}}}"#, "first.ago.between.1"),
            (#"{"last": {"event": "A", "ago": {"atMost": "2d"}}}"#, "last.ago.atMost"),
            (#"{"last": {"event": "A", "daysAgo": {"atLeast": 2}}}"#, "last.daysAgo.zone"),
            (#"{"sum": {"event": "A", "property": "p", "atLeast": "1e3"}}"#, "sum.atLeast"),
            (#"{"trait": {"name": "a", "exists": 1}}"#, "trait.exists"),
        ])
    func mistakes(_ text: String, _ path: String) throws {
        do {
            _ = try RuleReader.read(try JSONParser.parse(text))
            Issue.record("\(text) was taken")
        } catch let error as InvalidRule {
            #expect(error.problems.first?.path.description == path)
        }
    }

    @Test("several mistakes are told at once, in the order of the document")
    func several() throws {
        let rule: JSON = [
            "all": [["count": ["event": 1]], ["absent": ["event": "A"]], ["trait": ["name": ""]]]
        ]
        do {
            _ = try RuleReader.read(rule)
            Issue.record("it was taken")
        } catch {
            #expect(error.problems.map(\.path.description) == ["all.0.count.event", "all.2.trait.name"])
        }
    }

    @Test("amounts are exact, also as text")
    func amounts() {
        #expect(Amount("12.50") == Amount(12.5))
        #expect(Amount(decimal: "0.1")?.millionths == 100_000)
        #expect(Amount(decimal: "-0.0000005")?.millionths == -1)
        #expect(Amount(decimal: "99999999999999999999")?.millionths == Amount.bound)
        #expect(Amount(.double(1e300))?.millionths == Amount.bound)
        #expect(Amount(.integer(.min))?.millionths == -Amount.bound)
        for text in ["", "-", ".5", "5.", "1e3", "+1", "0x10", "1.2.3", " 1", "inf"] {
            #expect(Amount(decimal: text) == nil, "\(text)")
        }
        #expect(Amount("-3.25")?.text == "-3.25")
        let tenths = (0..<10).compactMap { _ in Amount(.double(0.1)) }.reduce(0) { $0 + $1.millionths }
        #expect(Amount(millionths: tenths) == Amount(1))
    }

    @Test("a filter looks into nested values and into every element of a list")
    func filters() throws {
        let properties: [String: JSON] = [
            "price": "12.50", "address": ["city": "Berlin"], "tags": ["red", "blue"],
            "street": "Strasse e\u{301}",
            "products": [["sku": "a", "price": 3], ["sku": "b", "price": 5]], "when": "2026-01-01T00:00:00Z",
        ]
        let cases: [(JSON, Bool)] = [
            (["property": "price", "equals": 12.5], true), (["property": "price", "atLeast": 12.51], false),
            (["property": "address.city", "equals": "Berlin"], true),
            (["property": "products[].sku", "equals": "b"], true),
            (["property": "products[].sku", "notEquals": "b"], false),
            (["property": "products[].sku", "notIn": ["c", "d"]], true),
            (["property": "products.1.price", "greaterThan": 4], true),
            (["property": "products[].price", "lessThan": 3], false),
            (["property": "tags", "contains": "blue"], true),
            (["property": "tags[]", "in": ["green"]], false),
            (["property": "address.city", "contains": "erl"], true),
            (["property": "nothing", "exists": false], true),
            (["property": "address.city", "startsWith": "Ber"], true),
            (["property": "address.city", "startsWith": "ber"], false),
            (["property": "address.city", "startsWith": "bER", "ignoreCase": true], true),
            (["property": "address.city", "endsWith": "LIN", "ignoreCase": true], true),
            (["property": "address.city", "equals": "BERLIN", "ignoreCase": false], false),
            (["property": "tags", "contains": "BLUE", "ignoreCase": true], true),
            (["property": "street", "equals": "STRASSE É", "ignoreCase": true], true),
            (
                [
                    "any": "products[]",
                    "where": [["property": "sku", "equals": "a"], ["property": "price", "equals": 3]],
                ], true
            ),
            (
                [
                    "any": "products[]",
                    "where": [["property": "sku", "equals": "a"], ["property": "price", "equals": 5]],
                ], false
            ),
            (["property": "when", "atLeast": "2025-12-31T23:00:00+01:00"], true),
            (["property": "when", "lessThan": "2025-12-31T23:00:00Z"], false),
        ]
        for (filter, wanted) in cases {
            let read = try PropertyFilter(RuleField(filter))
            #expect(read.holds(for: properties) == wanted, "\(filter.compact)")
        }
    }

    @Test("a position names the line and column of a value, also behind letters of several bytes")
    func positions() {
        let text = Array("{\n  \"ä\": [1,\n   \"ö\", 3]}".utf8)
        #expect(TextPosition(of: RulePath(["ä", "1"]), in: text).line == 3)
        #expect(TextPosition(of: RulePath(["ä", "2"]), in: text).column == 9)
        #expect(TextPosition(of: RulePath(["ä"]), in: text).column == 8)
    }
}
