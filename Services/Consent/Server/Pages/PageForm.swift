import ConsentDomain
import Crypto
import Foundation
import Models
import ServiceKit

/// Makes and checks what shows that a form is of a page that was made for the same link, and not long ago.
///
/// Of a form that saves choices it also shows that it is of what stands now: who ticks boxes on a page that is out of date, or
/// sends an old form again, would undo what was said elsewhere since.
struct PageForm: Sendable {
    /// What a form does.
    enum Action: String, Sendable, CaseIterable {
        case save, unsubscribe, data, erasure
    }

    /// How long a page may stay open before its forms are good for nothing.
    static let lifetime: Duration = .hours(24)
    /// The field that says that there is no limit.
    static let noFrequency = "none"

    private let key: SymmetricKey
    private static let codeLength = 16

    init(tokens: ServiceTokens) { key = tokens.derivedKey(for: "page-forms") }

    func token(
        for action: Action, _ claim: PersonLinks.Claim, _ state: PreferenceState, policyVersion: Int64
    ) -> String {
        let issued = Self.seconds(state.now)
        return Data(issued + code(action, claim, state, policyVersion, issued)).base64URL
    }

    /// Whatever is wrong with a token, nothing more is said of it.
    func isGood(
        _ token: String?, for action: Action, _ claim: PersonLinks.Claim, _ state: PreferenceState,
        policyVersion: Int64
    ) -> Bool {
        guard let token, token.utf8.count <= 64, let data = Data(base64URL: token), data.base64URL == token,
            data.count == 5 + Self.codeLength
        else { return false }
        let issued = Array(data.prefix(5))
        let expected = code(action, claim, state, policyVersion, issued)
        // Every byte is looked at, so the time tells nothing of where they differ.
        guard zip(expected, data.suffix(Self.codeLength)).reduce(UInt8(0), { $0 | ($1.0 ^ $1.1) }) == 0 else {
            return false
        }
        let at = Instant(milliseconds: issued.reduce(Int64(0)) { $0 << 8 | Int64($1) } * 1_000)
        return state.now - at < Self.lifetime
    }

    private func code(
        _ action: Action, _ claim: PersonLinks.Claim, _ state: PreferenceState, _ policyVersion: Int64,
        _ issued: [UInt8]
    ) -> [UInt8] {
        var text = action.rawValue
        if action == .save {
            text += "\n\(policyVersion)"
            for (name, word) in state.words.sorted(by: { $0.key < $1.key }) {
                text += "\n\(name) \(word.state.rawValue) \(word.at.milliseconds)"
            }
            // What has run out since the page was made is not said anew by leaving it as it was shown.
            text += "\n\(state.choice.purposes.sorted().joined(separator: " "))"
        }
        var bytes = Data(claim.bytes + issued)
        bytes.append(contentsOf: text.utf8)
        return Array(HMAC<SHA256>.authenticationCode(for: bytes, using: key).prefix(Self.codeLength))
    }

    private static func seconds(_ instant: Instant) -> [UInt8] {
        let seconds = UInt64(max(0, instant.milliseconds / 1_000))
        return (0..<5).reversed().map { UInt8(truncatingIfNeeded: seconds >> (8 * UInt64($0))) }
    }

    /// The choice that a form says; throws for a field that the page doesn't have.
    static func choice(_ form: FormBody, _ state: PreferenceState) throws(Problem) -> PreferenceState.Choice {
        var choice = PreferenceState.Choice(purposes: [], channels: [], frequency: nil)
        let purposes = Set(state.choosable.map(\.id))
        let channels = Set(state.channels)
        var saysFrequency = false
        for (name, value) in form.fields where name != "form" {
            if name == "frequency" {
                choice.frequency = ContactFrequency(rawValue: value)
                saysFrequency = choice.frequency != nil || value == noFrequency
                guard saysFrequency else { throw unknownField }
                continue
            }
            guard value == "yes" else { throw unknownField }
            if let id = Self.name(name, after: "purpose."), purposes.contains(id) {
                choice.purposes.insert(id)
            } else if let channel = Self.name(name, after: "channel."), channels.contains(channel) {
                choice.channels.insert(channel)
            } else {
                throw unknownField
            }
        }
        guard saysFrequency else { throw unknownField }
        return choice
    }

    private static func name(_ field: String, after prefix: String) -> String? {
        field.hasPrefix(prefix) ? String(field.dropFirst(prefix.count)) : nil
    }

    private static let unknownField = Problem.badRequest("the form has a field that the page doesn't have")
}
