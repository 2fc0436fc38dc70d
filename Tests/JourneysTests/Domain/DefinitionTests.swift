import JourneysDomain
import Models
import Testing

@testable import JourneysServer

@Suite("Definitions")
struct DefinitionTests {
    @Test("a journey is read with its entry, exits and steps")
    func reading() throws {
        let definition = try TestJourney.definition(TestJourney.abandonedCart)
        #expect(definition.name == "Abandoned cart")
        #expect(definition.entry.trigger == .event(EventPattern(event: "Product Added")))
        #expect(definition.entry.reentry == .after(.days(3)))
        #expect(definition.entry.maxTriggerAge == .hours(24))
        #expect(definition.exits == [.event(EventPattern(event: "Order Completed"))])
        #expect(definition.program.start == "wait-1")
        #expect(
            Set(definition.program.steps.keys) == [
                "wait-1", "reminder", "wait-3", "send-4", "wait-5", "send-6",
            ])
        #expect(definition.eventNames == ["Product Added", "Order Completed"])
    }

    @Test("the same definition means the same as YAML and as JSON")
    func formats() throws {
        let yaml = try DefinitionYAML.parse(Array(TestJourney.abandonedCart.utf8))
        let json = try DefinitionJSON.parse(Array(yaml.json.compact.utf8))
        #expect(yaml.json == json.json)
    }

    private static let frame = """
        entry:
          event: A
        steps:
        """

    private static let samples: [(String, String)] = [
        ("  - wait: {fro: 1h}", "4:11 steps.0.wait: expected `{for: 1h}` or"),
        ("  - wait: {for: soon}", "4:17 steps.0.wait.for: expected a duration such as `90m`"),
        ("  - wait: {for: 0s}", "4:17 steps.0.wait.for: expected a duration"),
        ("  - wait: {for: 1h, until: 2h}", "4:21 steps.0.wait.until: expected one of `for`, `untilEvent`"),
        ("  - wait: {untilEvent: B}", "steps.0.wait: expected `timeout`: a duration"),
        (
            "  - send: {purpose: marketing}",
            "steps.0.send: expected `template`: the id of a template, found no `template`"
        ),
        ("  - send: {template: t}", "steps.0.send: expected `purpose`"),
        (
            "  - send: {template: t, purpose: p, channel: fax}",
            "4:46 steps.0.send.channel: expected email, found “fax”"
        ),
        ("  - sned: {template: t}", "4:5 steps.0.sned: expected a step: one of `wait`, `branch`"),
        ("  - goto: nowhere", "4:11 steps.0.goto: expected the label of a step, found “nowhere”"),
        ("  - label: a\n    send: {template: t, purpose: p}\n  - goto: a", "expected a `wait` on every loop"),
        ("  - label: a\n    goto: a", "found the loop a → a without one"),
        ("  - branch: {cases: []}", "expected at least one case"),
        (
            "  - branch: {cases: [{when: {weather: fine}, then: []}]}",
            "expected one of `trait`, `event`, `segment`"
        ),
        ("  - split: {variants: [{name: a, weight: 1, then: []}]}", "expected at least two variants"),
        (
            "  - split: {variants: [{name: a, weight: 0, then: []}, {name: b, weight: 1, then: []}]}",
            "weight: expected a whole number from 1 to 1000000, found the number 0"
        ),
        ("  - wait: {for: 1h}\n    send: {template: t, purpose: p}", "expected one step per list entry"),
        ("  - label: Not A Name\n    exit:", "label: expected a label of lower-case letters"),
        ("  - 7", "expected a step, an object with one of"),
        ("  - exit: {reason: [no]}", "steps.0.exit.reason: expected a text, found a list of 1"),
        ("  - exit:\n  - exit:\nextra: 1", "6:1 extra: expected one of `id`, `name`"),
    ]

    @Test(
        "a mistake is refused with its line, column, what was expected and what stands there",
        arguments: samples)
    func refusal(steps: String, words: String) {
        let found = TestJourney.mistakes(Self.frame + "\n" + steps)
        #expect(found.contains { $0.contains(words) }, "\(found)")
    }

    @Test("entries and exits that mean nothing are refused")
    func entries() {
        #expect(TestJourney.mistakes("steps: []")[0].contains("expected `entry`"))
        #expect(TestJourney.mistakes("entry: {}\nsteps: []")[0].contains("1:8 entry: expected `event: …`"))
        #expect(TestJourney.mistakes("entry: {event: A, segment: B}\nsteps: []")[0].contains("either"))
        #expect(
            TestJourney.mistakes("entry: {event: A, reentry: never}\nsteps: []")[0].contains("once, always"))
        let filters = TestJourney.mistakes("entry: {event: A, where: [{property: p, near: 3}]}\nsteps: []")
        #expect(filters.contains { $0.contains("expected one comparison") }, "\(filters)")
        #expect(filters.contains { $0.contains("entry.where.0.near") }, "\(filters)")
        #expect(TestJourney.mistakes("entry: {event: A}\nexits: [{segmentEntered: B}]\nsteps: []").count == 2)
    }

    @Test("a loop that waits is a journey")
    func loops() throws {
        let mistakes = TestJourney.mistakes(
            """
            entry: {event: A}
            steps:
              - label: again
                wait: {for: 1d}
              - branch:
                  cases:
                    - when: {event: B}
                      then: [{exit: {}}]
                  default: [{goto: again}]
            """)
        #expect(mistakes == [])
    }

    @Test("all mistakes are told at once, in the order of the text")
    func severalAtOnce() {
        let found = TestJourney.mistakes("steps:\n  - wait: {for: x}\n  - sned: {}\nentry: {event: A, x: 1}")
        #expect(found.map { $0.prefix(2) } == ["2:", "3:", "4:"])
    }

    @Test("texts that are no YAML, and bombs, are refused with a place")
    func hostile() {
        let bomb = """
            a: &a [x, x, x, x, x, x, x, x, x, x]
            b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
            c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
            """
        #expect(TestJourney.mistakes(bomb)[0].contains("aliases"))
        #expect(TestJourney.mistakes("a: &a [x]\nb:\n  - *a")[0].hasPrefix("1:4 : expected no anchors"))
        let keys = "a: &a [x]\nb: &b [*a, *a]\n? *b\n: 1"
        #expect(TestJourney.mistakes(keys)[0].contains("aliases"))
        #expect(TestJourney.mistakes("{*a, *b}")[0].contains("aliases"))
        #expect(TestJourney.mistakes("*a : 1")[0].contains("aliases"))
        for deep in [
            String(repeating: "[", count: 100_000), String(repeating: "{a: ", count: 100_000),
            String(repeating: "- ", count: 100_000), String(repeating: "? ", count: 50_000),
        ] {
            #expect(TestJourney.mistakes(deep)[0].contains("deep"))
        }
        let indented = (0..<600).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n")
        #expect(TestJourney.mistakes(indented)[0].contains("deep"))
        for text in [
            "a: [", "\t- x", "a: b: c", "a: \"\\x00\"", "", "a: 1\na: 2", "--- 1\n--- 2", "@", "a\u{0}b",
        ] {
            #expect(TestJourney.mistakes(text).count >= 1, "\(text)")
        }
        #expect(throws: DefinitionMistake.self) { try DefinitionYAML.parse([0xFF, 0xFE, 0x41]) }
    }

    @Test("mistakes in JSON have places too")
    func jsonPlaces() throws {
        let text = "{\n  \"entry\": {\"event\": \"A\"},\n  \"steps\": [\n    {\"wait\": {\"for\": 5}}\n  ]\n}"
        let node = try DefinitionJSON.parse(Array(text.utf8))
        let error = #expect(throws: InvalidJourney.self) {
            try JourneyDocument.read(node, id: "j", version: 1)
        }
        #expect(error?.mistakes.first?.mark == SourceMark(line: 4, column: 22))
        let broken = #expect(throws: DefinitionMistake.self) {
            try DefinitionJSON.parse(Array("{\n \"a\": [1,\n  ]}".utf8))
        }
        #expect(broken?.mark.line == 3)
        #expect(throws: DefinitionMistake.self) {
            try DefinitionJSON.parse(Array(String(repeating: "[", count: 10_000).utf8))
        }
        #expect(throws: DefinitionMistake.self) {
            try DefinitionJSON.parse(
                Array((String(repeating: "[", count: 60) + String(repeating: "]", count: 60)).utf8))
        }
    }
}
