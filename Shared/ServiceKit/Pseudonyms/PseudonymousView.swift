import Foundation
import Models

/// People's data as somebody sees it who may not see who they are: what names them is replaced by pseudonyms.
///
/// Of what Martlet itself says, ids, times, words and numbers stay. Of what senders and people have put in, numbers, truths
/// and short texts stay that are neither called like something personal nor look like an address; of traits no text does.
/// Whatever else repeats a value that was replaced in the same thing is replaced as well.
struct PseudonymousView: Sendable {
    let pseudonyms: Pseudonyms

    /// Whose words these are.
    private enum Place { case own, sent, traits }

    /// Texts beyond this are prose, in which anything may stand.
    private static let longestWord = 128
    /// Shorter values would be found in everything.
    private static let shortestValue = 4
    private static let traits: Set<String> = ["traits", "variables", "identifiers", "identifier"]
    private static let sent: Set<String> = [
        "properties", "context", "integrations", "payload", "data", "item", "envelope", "input",
    ]

    /// Each element of a list by itself: what one is called says nothing of the next.
    func shown(_ json: JSON) -> JSON {
        guard case .object(var members) = json, let items = members["items"]?.array else {
            return shownAsOne(json)
        }
        members["items"] = nil
        guard case .object(var shown) = shownAsOne(.object(members)) else { return .null }
        shown["items"] = .array(items.map(shownAsOne))
        return .object(shown)
    }

    private func shownAsOne(_ json: JSON) -> JSON {
        var told: Set<String> = []
        collect(json, "", .own, [:], into: &told)
        return replaced(json, "", .own, [:], told)
    }

    // MARK: Replacing

    private func replaced(
        _ json: JSON, _ name: String, _ place: Place, _ siblings: [String: JSON], _ told: Set<String>
    ) -> JSON {
        switch json {
        case .null, .bool: return json
        case .integer, .double:
            // A value in Martlet's own answer may be a number that somebody sent, such as that of a telephone.
            let isHidden =
                place == .own
                ? name == "value" && PersonalNames.looksPersonal(json.compact)
                : isPersonal(name, place) || PersonalNames.looksPersonal(json.compact)
            return isHidden ? .string(pseudonyms.pseudonym(of: json.compact)) : json
        case .string(let text):
            let isShown = stays(text, name, place, siblings) && !Self.repeats(text, told)
            return isShown ? json : .string(pseudonyms.pseudonym(of: text))
        case .array(let elements):
            return .array(elements.map { replaced($0, name, place, siblings, told) })
        case .object(let members):
            var shown: [String: JSON] = [:]
            for (key, value) in members {
                let child = PersonalNames.normalised(key)
                let isName = place != .own && PersonalNames.looksPersonal(key)
                shown[isName ? pseudonyms.pseudonym(of: key) : key] = replaced(
                    value, child, self.place(of: value, key, in: place), members, told)
            }
            return .object(shown)
        }
    }

    private func stays(
        _ text: String, _ name: String, _ place: Place, _ siblings: [String: JSON]
    ) -> Bool {
        if text.isEmpty { return true }
        switch place {
        case .own:
            if PersonalNames.isPersonal(name) || PersonalNames.repeatsValues(name) { return false }
            if PersonalNames.isOpaque(name) { return !text.contains("@") }
            if Self.isIDOrTime(text) { return true }
            // An id that is none of ours is somebody else's name for somebody, but for what operators call a computed trait.
            if name == "id" { return siblings["value"] != nil && siblings["validUntil"] != nil }
            return text.utf8.count <= Self.longestWord && !PersonalNames.looksPersonal(text)
        case .sent:
            if isPersonal(name, place) && !Self.isProduct(siblings) { return false }
            if Instant(rfc3339: text) != nil { return true }
            return text.utf8.count <= Self.longestWord && !PersonalNames.looksPersonal(text)
        case .traits:
            // Beside a value stands where it came from.
            return siblings["value"] != nil && Self.origins.contains(name) && !text.contains("@")
        }
    }

    private static let origins: Set<String> = [
        "occurredat", "messageid", "sourceid", "rule", "firstseen", "lastseen", "type",
    ]

    private func isPersonal(_ name: String, _ place: Place) -> Bool {
        PersonalNames.isPersonal(name) || ["name", "id"].contains(name)
            || place == .sent && PersonalNames.repeatsValues(name) && name != "value"
    }

    /// Products have names and ids of their own.
    private static func isProduct(_ siblings: [String: JSON]) -> Bool {
        ["sku", "product_id", "productId", "price"].contains { siblings[$0] != nil }
    }

    /// What is within something personal is personal.
    private func place(of value: JSON, _ key: String, in place: Place) -> Place {
        // `traits.name` is a member of an export's rows.
        if place == .traits || key.lowercased().hasPrefix("traits.") { return .traits }
        let name = PersonalNames.normalised(key)
        if Self.traits.contains(name) { return .traits }
        let isWithin = place == .sent || Self.sent.contains(name)
        guard value.object != nil || value.array != nil else { return isWithin ? .sent : place }
        if PersonalNames.isPersonal(name) { return .traits }
        return isWithin ? .sent : place
    }

    static func isIDOrTime(_ text: String) -> Bool {
        text.utf8.count == 36 && UUID(uuidString: text) != nil || Instant(rfc3339: text) != nil
    }

    // MARK: What is repeated

    /// The values that name somebody, in lower case.
    private func collect(
        _ json: JSON, _ name: String, _ place: Place, _ siblings: [String: JSON], into told: inout Set<String>
    ) {
        switch json {
        case .string(let text):
            let isOfIdentifier = name == "value" && siblings["type"] != nil
            let isPersonal =
                PersonalNames.isPersonal(name) || place == .traits && (name == "name" || isOfIdentifier)
            if isPersonal, (Self.shortestValue...Self.longestWord).contains(text.utf8.count) {
                told.insert(text.lowercased())
            }
        case .array(let elements):
            for element in elements { collect(element, name, place, siblings, into: &told) }
        case .object(let members):
            for (key, value) in members {
                let child = PersonalNames.normalised(key)
                // The value of a trait goes by the name of the trait.
                let isOfTrait = place == .traits && child == "value" && members["type"] == nil
                collect(
                    value, isOfTrait ? name : child, self.place(of: value, key, in: place), members,
                    into: &told)
            }
        default: break
        }
    }

    private static func repeats(_ text: String, _ told: Set<String>) -> Bool {
        if told.isEmpty || isIDOrTime(text) { return false }
        let text = text.lowercased()
        return told.contains { text.contains($0) }
    }
}
