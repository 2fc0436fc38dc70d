import Crypto
import FoundationEssentials
import Models
import ProfileStore

/// A part of a profile that a caller may ask for.
enum ProfileSection: String, CaseIterable, Sendable {
    case traits, identifiers, consent, segments, stage, timeline

    /// What is shown to somebody who asks for nothing in particular.
    static let usual: Set<ProfileSection> = [.traits, .identifiers]
}

/// A person as the API shows them.
struct ProfileView: Sendable {
    let person: Person
    let identifiers: [StoredIdentifier]
    /// Of each name the one that holds; those that were removed are left out.
    let traits: [String: StoredTrait]

    init(person: Person, identifiers: [StoredIdentifier], traits: [StoredTrait]) {
        self.person = person
        self.identifiers = identifiers.sorted(by: Self.precedes)
        var held: [String: StoredTrait] = [:]
        for trait in traits {
            if held[trait.name] == nil { held[trait.name] = trait } else { held[trait.name]?.merge(trait) }
        }
        self.traits = held.filter { !$0.value.entry.value.isNull }
    }

    init(_ known: KnownPerson) {
        self.init(person: known.person, identifiers: known.identifiers, traits: known.traits)
    }

    var values: [String: JSON] { traits.mapValues(\.entry.value) }

    var json: JSON { json(with: ProfileSection.usual) }

    /// The profile with its own sections; those that come from elsewhere are the caller's to add.
    func json(with sections: Set<ProfileSection>) -> JSON {
        var members: [String: JSON] = [
            "profileId": .string(person.profileID.description),
            "mergedProfileIds": .array(
                person.memberIDs.filter { $0 != person.profileID }.map { .string($0.description) }),
            "createdAt": .string(person.createdAt.rfc3339), "updatedAt": .string(person.updatedAt.rfc3339),
        ]
        if sections.contains(.identifiers) { members["identifiers"] = .array(identifiers.map(Self.json)) }
        if sections.contains(.traits) { members["traits"] = .object(traits.mapValues(Self.json)) }
        return .object(members)
    }

    /// Names the state of traits, identifiers and merges. That an identifier was seen once more is no change.
    var etag: String {
        var hash = SHA256()
        func add(_ parts: String...) {
            for part in parts { hash.update(data: Data("\(part.utf8.count):\(part)".utf8)) }
        }
        for id in person.memberIDs { add(id.description) }
        for stored in identifiers.map(\.identifier.json.compact).sorted() { add(stored) }
        for (name, trait) in traits.sorted(by: { $0.key.precedesInUTF8($1.key) }) {
            add(name, trait.entry.stamp.at.rfc3339, trait.entry.stamp.messageID, trait.entry.value.compact)
        }
        return "\"" + hash.finalize().prefix(16).map { String(format: $0) }.joined() + "\""
    }

    private static func json(_ trait: StoredTrait) -> JSON {
        var members: [String: JSON] = [
            "value": trait.entry.value, "occurredAt": .string(trait.entry.stamp.at.rfc3339),
            "messageId": .string(trait.entry.stamp.messageID),
            "sourceId": .string(trait.sourceID.description),
        ]
        guard let history = trait.entry.history, history.rule != .latest else { return .object(members) }
        members["rule"] = .string(history.rule.name)
        // Of a union each value has its own origin.
        if history.rule == .union { members["from"] = .array(history.holding.map(Self.json)) }
        return .object(members)
    }

    private static func json(_ claim: TraitHistory.Claim) -> JSON {
        var members: [String: JSON] = [
            "value": claim.value, "occurredAt": .string(claim.first.at.rfc3339),
            "messageId": .string(claim.first.messageID),
        ]
        members["sourceId"] = claim.sourceID.map { .string($0.description) }
        return .object(members)
    }

    private static func json(_ stored: StoredIdentifier) -> JSON {
        [
            "type": .string(stored.identifier.kind.rawValue), "value": .string(stored.identifier.value),
            "firstSeen": .string(stored.firstSeen.rfc3339), "lastSeen": .string(stored.lastSeen.rfc3339),
        ]
    }

    /// By kind, the most recently seen first.
    private static func precedes(_ left: StoredIdentifier, _ right: StoredIdentifier) -> Bool {
        if left.identifier.kind != right.identifier.kind {
            return left.identifier.kind.rawValue < right.identifier.kind.rawValue
        }
        if left.lastSeen != right.lastSeen { return left.lastSeen > right.lastSeen }
        return left.identifier.value.precedesInUTF8(right.identifier.value)
    }
}

extension String {
    /// Two hexadecimal digits.
    fileprivate init(format byte: UInt8) {
        self = (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}
