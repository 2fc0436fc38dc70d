import Models
import SegmentationDomain
import Testing

@Suite("Rules as text")
struct RuleTextTests {
    @Test("what is written is read as the same rule, for random rules of all kinds")
    func roundTrip() throws {
        for (number, scale) in ([.milliseconds] + RandomScale.calendars).enumerated() {
            var rules = RandomRules(generator: SeededGenerator(seed: UInt64(number)), scale: scale)
            rules.segments = ["vip", "30-days", "not"]
            rules.scores = ["engagement", "30-days", "not"]
            rules.stages = ["decision", "stage", "2nd"]
            // Which edition is in force is no part of the text.
            rules.hasEditions = false
            for _ in 0..<150 {
                let condition = try RuleReader.read(rules.rule(depth: 4))
                let text = condition.text
                do { #expect(try RuleText.read(text) == condition, "\(text)") } catch {
                    Issue.record("\(error) in \(text)")
                }
            }
        }
    }

    @Test("names and texts of any letters are written so that they are read back")
    func names() throws {
        let names = [
            "where", "and", "a b", "`", "\\", "\"", "2nd", "-x", "+1", "é", "$utm", "a:b/c", "Größe", "in",
            "(", "x=y",
            "\n", "any", "日本",
        ]
        for name in names {
            for rule in [
                [
                    "count": [
                        "event": .array([.string(name), "*"]), "sameValueOf": .string(name),
                        "where": [
                            ["property": .string("\(name)[].\(name)"), "equals": .string(name)],
                            [
                                "any": .string("\(name)[]"),
                                "where": [["property": .string(name), "exists": false]],
                            ],
                        ],
                    ]
                ],
                ["all": [["trait": ["name": .string(name), "startsWith": .string(name)]]]],
                ["absent": ["type": "page", "event": .array(["*"])]],
            ] as [JSON] {
                let condition = try RuleReader.read(rule)
                #expect(try RuleText.read(condition.text) == condition, "\(condition.text)")
            }
        }
    }

    @Test(
        "groups are kept as they are nested",
        arguments: [
            #"{"all": [{"all": [{"segment": "a"}, {"segment": "b"}]}, {"segment": "c"}]}"#,
            #"{"any": [{"all": [{"segment": "a"}]}, {"any": [{"any": [{"segment": "b"}]}]}]}"#,
            #"{"not": {"not": {"any": [{"segment": "a"}, {"not": {"all": [{"segment": "b"}]}}]}}}"#,
            #"{"all": [{"any": [{"segment": "a"}, {"segment": "b"}]}]}"#,
            #"{"all": [{"count": {"event": "A"}}, {"not": {"count": {"event": "B", "within": "24h"}}}]}"#,
        ])
    func nesting(json: String) throws {
        let condition = try RuleReader.read(try JSONParser.parse(json))
        #expect(try RuleText.read(condition.text) == condition, "\(condition.text)")
    }

    @Test(
        "people write it in several ways",
        arguments: [
            (
                #"did "Product Viewed" at least 3 times in 48 hours where category = "Shoes" and not did "Order Completed" within 24 hours after"#,
                #"{"sequence": {"steps": [{"event": "Product Viewed", "atLeast": 3, "in": "48h", "where": [{"property": "category", "equals": "Shoes"}]}, {"not": {"event": "Order Completed"}, "within": "24h"}]}}"#
            ),
            (
                #"did "Email Opened" at least 3 times in 30 days and did not do "Email Link Clicked" in 30d"#,
                #"{"all": [{"count": {"event": "Email Opened", "atLeast": 3, "within": "30d"}}, {"absent": {"event": "Email Link Clicked", "within": "30d"}}]}"#
            ),
            (
                "did \"A\" or \"B\" within 7 calendar days in Europe/Berlin\n  or trait plan = \"pro\"",
                #"{"any": [{"count": {"event": ["A", "B"], "within": {"days": 7, "zone": "Europe/Berlin"}}}, {"trait": {"name": "plan", "equals": "pro"}}]}"#
            ),
            (
                #"did "A" where x > 1 and in segment vip and not (did "B" or did "C")"#,
                #"{"all": [{"count": {"event": "A", "where": [{"property": "x", "greaterThan": 1}]}}, {"segment": "vip"}, {"not": {"any": [{"count": {"event": "B"}}, {"count": {"event": "C"}}]}}]}"#
            ),
            (
                #"did "A" then did "B" within 1 day where any products[] with (sku = "a" and price >= 0.1) without page "Home" all since 2026-01-01 in UTC"#,
                #"{"sequence": {"steps": [{"event": "A"}, {"event": "B", "within": "1d", "where": [{"any": "products[]", "where": [{"property": "sku", "equals": "a"}, {"property": "price", "atLeast": "0.1"}]}], "without": {"type": "page", "event": "Home"}}], "since": {"date": "2026-01-01", "zone": "UTC"}}}"#
            ),
            (
                #"did "A" where x > 1 and score engagement at least 12.5 and not score `score` less than 3"#,
                #"{"all": [{"count": {"event": "A", "where": [{"property": "x", "greaterThan": 1}]}}, {"score": {"id": "engagement", "atLeast": "12.5"}}, {"not": {"score": {"id": "score", "lessThan": 3}}}]}"#
            ),
            (
                #"did "A" where date > 1 and date of birthday is today in Europe/Berlin every year and date of `date` is between 1 and 3 days ago in UTC"#,
                #"{"all": [{"count": {"event": "A", "where": [{"property": "date", "greaterThan": 1}]}}, {"date": {"trait": "birthday", "zone": "Europe/Berlin", "yearly": true}}, {"date": {"trait": "date", "zone": "UTC", "ago": {"between": [1, 3]}}}]}"#
            ),
            (
                #"did "A" where account = "x" and consent exists and account plan = "pro" and consent "marketing" granted and not account seats > 5"#,
                #"{"all": [{"count": {"event": "A", "where": [{"property": "account", "equals": "x"}, {"property": "consent", "exists": true}]}}, {"account": {"name": "plan", "equals": "pro"}}, {"consent": {"purpose": "marketing", "is": "granted"}}, {"not": {"account": {"name": "seats", "greaterThan": 5}}}]}"#
            ),
            (
                #"in stage decision and did "A" and not in stage 2nd"#,
                #"{"all": [{"stage": "decision"}, {"count": {"event": "A"}}, {"not": {"stage": "2nd"}}]}"#
            ),
            (
                #"last "A" was between 3 and 5 calendar days ago in UTC and first "A" was between 3 days and 5 days ago"#,
                #"{"all": [{"last": {"event": "A", "daysAgo": {"between": [3, 5], "zone": "UTC"}}}, {"first": {"event": "A", "ago": {"between": ["3d", "5d"]}}}]}"#
            ),
        ])
    func written(text: String, json: String) throws {
        #expect(try RuleText.read(text) == RuleReader.read(try JSONParser.parse(json)))
    }

    @Test(
        "a mistake is told with its line and column",
        arguments: [
            ("", "1:1 a condition"), ("did", "1:4 the name of an event"),
            ("did \"A", "1:5 a quote at the end"),
            ("did \"A\"\n  and", "2:6 a condition"), ("did \"A\" foo", "1:9 \"and\", \"or\""),
            ("did \"A\" at least three times", "1:18 a whole number"),
            ("did \"A\" at least 3", "1:19 \"time\" or \"times\""),
            ("did \"A\" at least 2000 times", "1:18 a whole number from 0 to 1000"),
            ("did \"A\" in 0 days", "1:12 a length of time"),
            ("did \"A\" in 9999 days", "1:12 a length of time"),
            ("did \"A\" in 3 calendar days in Berlin", "1:31 a time zone"),
            ("did \"ä\" where\n category == 1", "2:12 text in quotes, a number"),
            ("did \"A\" where x ~ 1", "1:17 a word"), ("did \"A\" where in = 1", "1:15 a property"),
            ("(did \"A\"", "1:9 \")\""), ("did \"A\" then \"B\"", "1:14 \"did\""),
            ("did \"A\" at most 2 times then did \"B\"", "1:1 a first step"),
            ("trait plan = pro", "1:14 text in quotes"), ("trait plan > \"a\"", "1:14 a number or a time"),
            ("trait plan > 1 ignoring case", "1:12 only there where text is compared"),
            ("age by birthday at least 200 years in UTC", "1:26 a whole number from 0 to 150"),
            ("in segment BIG", "1:12 the id of a segment"),
            ("in stage BIG", "1:10 the id of a stage"), ("score BIG at least 2", "1:7 the id of a score"),
            ("date of birthday is soon in UTC", "1:21 \"today\""),
            ("consent marketing granted", "1:9 the id of a purpose in quotes"),
            ("consent \"ads\" given", "1:15 \"granted\" or \"withdrawn\" or \"unknown\""),
            ("score engagement", "1:17 \"at least\""),
            ("score engagement at least some", "1:27 a number"),
            ("did \"A\" and not did \"B\" within 2 days after all in 1 day", "1:52 longer than"),
            ("sum of total over \"A\" at least x", "1:32 a number"), ("`a", "1:1 a backquote"),
            ("did \"A\" since 2026-02-30 in UTC", "1:15 a time"),
        ])
    func mistakes(text: String, wanted: String) {
        do {
            _ = try RuleText.read(text)
            Issue.record("\(text) was taken")
        } catch {
            let first = error.problems[0]
            let told = "\(first.position.line):\(first.position.column) \(first.expected)"
            #expect(told.hasPrefix(wanted), "\(told) for \(text)")
        }
    }

    @Test("however deep or long a text is, it is refused and nothing breaks")
    func large() {
        let texts = [
            String(repeating: "(", count: 100_000), String(repeating: "not ", count: 100_000) + "did \"A\"",
            Array(repeating: "did \"A\"", count: 10_000).joined(separator: " and "),
            String(repeating: "x", count: RuleText.maxBytes + 1),
        ]
        for text in texts { #expect(throws: InvalidRuleText.self) { try RuleText.read(text) } }
    }

    @Test("whatever is cut out of rules or changed in them, they are read or refused")
    func mutations() throws {
        var random = SeededGenerator(seed: 11)
        var rules = RandomRules(generator: SeededGenerator(seed: 12), scale: RandomScale.calendars[0])
        var words: [String] = []
        for _ in 0..<300 {
            let text = try RuleReader.read(rules.rule()).text
            var parts = text.split(separator: " ").map(String.init)
            words += parts.prefix(5)
            switch random.below(3) {
            case 0: parts.remove(at: random.below(parts.count))
            case 1: parts.insert(random.pick(words), at: random.below(parts.count))
            default: parts[random.below(parts.count)] = random.pick(words)
            }
            guard let read = try? RuleText.read(parts.joined(separator: " ")) else { continue }
            #expect(try RuleText.read(read.text) == read)
        }
    }

    @Test("where a rule is asked for as JSON, a text does as well")
    func inJSON() throws {
        #expect(try RuleReader.read("did \"A\"") == RuleReader.read(["count": ["event": "A"]]))
        do {
            _ = try RuleReader.read("did \"A\" and", at: RulePath(["rule"]))
            Issue.record("it was taken")
        } catch {
            #expect(error.problems.map(\.path.description) == ["rule"])
            #expect(error.problems[0].expected.contains("line 1, column 12"))
        }
    }
}
