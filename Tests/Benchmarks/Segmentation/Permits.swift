import ConsentDomain
import Models
import SegmentationDomain

/// What asking for consent costs beside deciding the segments of the same events.
enum Permits {
    /// As shops have it: what is stored needs analytics, segments need profiling, one purpose is nobody's to refuse.
    private static let policy: JSON = [
        "purposes": [
            "analytics": [
                "name": "Analytics", "legalBasis": "consent", "lasts": "P13M", "text": ["version": "2026-11"],
            ],
            "profiling": [
                "name": "Profiling", "legalBasis": "consent", "lasts": "P13M", "text": ["version": "2026-11"],
            ],
            "marketing": [
                "name": "Marketing", "legalBasis": "consent", "directMarketing": true, "lasts": "P13M",
                "text": ["version": "2026-11"],
            ],
            "orders": ["name": "Orders", "legalBasis": "contract", "text": ["version": "1"]],
        ],
        "requires": [
            "events": ["*": ["analytics"], "Order Completed": ["orders"]],
            "segments": ["*": ["profiling"]],
        ],
    ]

    /// Nanoseconds: of asking once, by turns whether an event may be stored and whether segments may see its person; and of
    /// deciding an event's segments. And what share is permitted.
    static func run(segments: Int, events count: Int, profiles: Int) throws -> JSON {
        let policy = try ConsentPolicy(json: policy)
        let decider = SegmentDecider(try Live.set(of: segments))
        let events = try Live.events(count, profiles: profiles, seed: 11).map {
            ($0.profile, try TrackingEvent(json: try JSONParser.parse($0.json)))
        }
        let ids = (0..<profiles).map(ShopEvent.profileID)
        let words = (0..<profiles).map(words)
        var states = Array(repeating: decider.newState(), count: profiles)
        let clock = ContinuousClock()
        var (asking, deciding) = (Duration.zero, Duration.zero)
        var (permitted, changes) = (0, 0)
        for start in stride(from: 0, to: count, by: 1_000) {
            let group = start..<min(count, start + 1_000)
            let decide = clock.measure {
                for index in group {
                    let profile = events[index].0
                    changes += decider.apply(events[index].1, to: &states[profile], of: ids[profile]).count
                }
            }
            // What whoever asks has in hand: the event, and what its person said.
            let asked = group.map { index in
                let (profile, event) = events[index]
                return (event.name ?? event.kind.rawValue, words[profile], event.receivedAt)
            }
            let ask = clock.measure {
                for (number, asked) in asked.enumerated() {
                    let thing = ConsentUse.Thing(
                        number % 2 == 0 ? .events : .segments, number % 2 == 0 ? asked.0 : "viewers")
                    if permits(policy, asked.1, ConsentUse(things: [thing]), now: asked.2).isPermitted {
                        permitted += 1
                    }
                }
            }
            guard start >= count / 2 else { continue }
            asking += ask
            deciding += decide
        }
        let measured = Double(count - count / 2)
        return [
            "segments": .integer(Int64(segments)), "permits": .double(asking / .nanoseconds(1) / measured),
            "decide": .double(deciding / .nanoseconds(1) / measured),
            "permitted": .double(Double(permitted) / Double(count)),
            "changes": .double(Double(changes) / Double(count)),
        ]
    }

    /// Nine of ten have said yes, some of whom took it back, and one has never been asked.
    private static func words(_ profile: Int) -> [String: ConsentWord] {
        guard profile % 10 != 0 else { return [:] }
        let at = ShopEvent.now - .seconds(200 * 86_400)
        return [
            "analytics": ConsentWord(.granted, at: at),
            "profiling": ConsentWord(profile % 10 == 1 ? .withdrawn : .granted, at: at),
            "marketing": ConsentWord(profile % 3 == 0 ? .withdrawn : .granted, at: at),
        ]
    }
}
