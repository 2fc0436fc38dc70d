import JourneysDomain
import Models
import Postgres
import TestSupport
import Testing

/// What came of a run, in each world of each case.
extension ShardOrderRun {
    func word(_ id: ProfileID) -> String { parts[id].map { "person \($0.person)" } ?? "somebody else" }

    /// Who is one person with whom, by identity and by journeys.
    func people() async throws -> [Place: (known: [String], held: [String])] {
        let rows = try await fixture.owner.query("SELECT profile_id, survivor_id FROM journeys.profile")
        var held: [ProfileID: ProfileID] = [:]
        for row in rows { held[try row.get("profile_id")] = try row.get("survivor_id", as: ProfileID?.self) }
        var people: [Place: (known: [String], held: [String])] = [:]
        for (place, forest) in forests {
            let all = 0..<ShardOrderScript.people
            people[place] = (
                all.map { "\($0) is \(forest.root(of: $0))" },
                all.map { person in
                    let one = id(person, place)
                    let part = parts[held[one] ?? one]
                    return part.map { "\(person) is \($0.person)" } ?? "\(person) is nobody"
                }
            )
        }
        return people
    }

    /// Who stands where, and until when.
    func standing() async throws -> [Place: [String]] {
        let rows = try await fixture.owner.query(
            """
            SELECT i.profile_id, i.journey_id, i.trigger_key, i.step, i.due_at, d.due_at AS timer
            FROM journeys.instance i
            LEFT JOIN journeys.deadline d ON d.shard = i.shard AND d.instance_id = i.instance_id
            WHERE i.ended_at IS NULL
            """)
        var standing: [Place: [String]] = [:]
        for row in rows {
            let id: ProfileID = try row.get("profile_id")
            guard let part = parts[id] else { continue }
            let due: Instant? = try row.get("due_at")
            #expect(try row.get("timer", as: Instant?.self) == due)
            let (journey, key): (String, String) = (try row.get("journey_id"), try row.get("trigger_key"))
            let step: String? = try row.get("step")
            standing[Place(number: part.number, world: part.world), default: []].append(
                "\(word(id)) \(journey) \(key) \(step ?? "") \(due?.rfc3339 ?? "")")
        }
        return standing.mapValues { $0.sorted() }
    }

    /// What would be sent if nothing had been yet, by what it is about: when and to whom. With `later`, what was asked for
    /// after the last change alone.
    func sends(later: Bool) async throws -> [Place: [String: String]] {
        var (known, open): ([IntentID: SendIntent], [IntentID: SendIntent]) = ([:], [:])
        for (_, fact) in try await fixture.told() {
            switch fact {
            case .wanted(let intent): (known[intent.intentID], open[intent.intentID]) = (intent, intent)
            case .corrected(let correction) where !later:
                var intent = try #require(known[correction.intentID])
                (intent.profileID, intent.at) = (correction.profileID, correction.at)
                open[intent.intentID] = correction.kind == .withdrawn ? nil : intent
            case .corrected, .unmerged: break
            }
        }
        var sends: [Place: [String: String]] = [:]
        for intent in open.values where !later || intent.at > settled {
            guard let part = parts[intent.profileID] else { continue }
            let place = Place(number: part.number, world: part.world)
            // Whoever is one person in the end gets it either way.
            let person = forests[place]?.root(of: part.person) ?? part.person
            let trigger = intent.variables["trigger"]?["messageId"]?.string ?? ""
            sends[place, default: [:]]["\(trigger) \(intent.template)"] = "\(intent.at) person \(person)"
        }
        return sends
    }

    /// What happened in a case, and all passages that came of it.
    func story(of number: Int) async throws -> String {
        var lines = scripts[number].words
        let rows = try await fixture.owner.query(
            """
            SELECT profile_id, journey_id, trigger_key, entered_at, step, due_at, ended_at, end_reason
            FROM journeys.instance ORDER BY entered_at, journey_id
            """)
        for row in rows {
            guard let part = parts[try row.get("profile_id")], part.number == number else { continue }
            let (journey, key): (String, String) = (try row.get("journey_id"), try row.get("trigger_key"))
            let entered: Instant = try row.get("entered_at")
            let step: String? = try row.get("step")
            let (due, ended): (Instant?, Instant?) = (try row.get("due_at"), try row.get("ended_at"))
            let reason: String? = try row.get("end_reason")
            lines.append(
                "\(part.world): person \(part.person) \(journey) \(key) \(entered) \(step ?? "") \(due?.rfc3339 ?? "")"
                    + " \(ended?.rfc3339 ?? "") \(reason ?? "")")
        }
        return lines.joined(separator: "\n")
    }
}
