import Foundation
import Models

/// A generator seeded by `MARTLET_SEED`, or anew; the seed is printed so that a failure can be repeated.
func seededGenerator(_ test: String = #function) -> SeededGenerator {
    let given = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: .min ... .max)
    print("\(test): MARTLET_SEED=\(seed)")
    return SeededGenerator(seed: seed)
}

/// How many times as much random tests do; `make soak` sets it.
let soakFactor = ProcessInfo.processInfo.environment["MARTLET_SOAK_FACTOR"].flatMap { Int($0) } ?? 1

let shop = SourceID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "shop"))
let start = Instant(milliseconds: 1_700_000_000_000)

func event(
    _ number: Int, _ kind: TrackingEvent.Kind = .track, user: String? = nil, device: String? = nil,
    email: String? = nil, previous: String? = nil, profile: ProfileID? = nil, traits: [String: JSON] = [:],
    contacts: [String] = [], late: Duration = .zero
) -> TrackingEvent {
    let receivedAt = start + .seconds(number)
    var event = TrackingEvent(
        messageID: "m\(number)", kind: kind, name: kind == .track ? "Product Viewed" : nil, userID: user,
        anonymousID: device, previousID: previous, profileID: profile, timestamp: receivedAt - late,
        receivedAt: receivedAt, sourceID: shop, traits: traits)
    if let email {
        if kind == .identify {
            event.traits["email"] = .string(email)
        } else {
            event.context["traits"] = ["email": .string(email)]
        }
    }
    if !contacts.isEmpty {
        event.context["externalIds"] = .array(
            contacts.map { ["type": .string(Identifier.Kind.contact.rawValue), "id": .string($0)] })
    }
    return event
}

extension Identifier.Kind {
    /// Contacts of a CRM, which are known by ids of its own.
    static let contact = Identifier.Kind(rawValue: "crm:contact") ?? .anonymousID
}

extension TrackingEvent {
    /// Anything, of few people with few devices, so that they meet often.
    static func random(_ number: Int, using generator: inout SeededGenerator) -> TrackingEvent {
        func pick(_ letter: String, of count: Int, oneIn: Int) -> String? {
            Int.random(in: 0..<oneIn, using: &generator) == 0
                ? "\(letter)\(Int.random(in: 0..<count, using: &generator))" : nil
        }
        let user = pick("u", of: 6, oneIn: 2)
        let contact = pick("c", of: 9, oneIn: 4)
        let device = pick("d", of: 10, oneIn: 2) ?? (user == nil && contact == nil ? "d0" : nil)
        let email = pick("E", of: 6, oneIn: 3).map { "\($0)@x.org" }
        let late = Duration.seconds(Int.random(in: 0...20, using: &generator))
        switch Int.random(in: 0..<10, using: &generator) {
        case 0 where user != nil:
            let previous = pick("u", of: 6, oneIn: 2) ?? pick("d", of: 10, oneIn: 1)
            return event(number, .alias, user: user, previous: previous)
        case 1:
            // What a CRM says when contacts were merged.
            let other = pick("c", of: 9, oneIn: 1).map { [$0] } ?? []
            return event(
                number, .alias, user: user, contacts: [contact ?? "c0"] + other, late: late)
        case 2...4:
            let traits: [String: JSON] = ["t\(number % 3)": number % 7 == 0 ? .null : .integer(Int64(number))]
            return event(
                number, .identify, user: user, device: device, email: email, traits: traits,
                contacts: contact.map { [$0] } ?? [], late: late)
        default:
            return event(
                number, user: user, device: device, email: email, contacts: contact.map { [$0] } ?? [],
                late: late)
        }
    }
}
