import ConsentDomain
import IngestionDomain
import Models
import Postgres
import ServiceKit

/// A grant, denial or withdrawal as somebody reports it.
struct ConsentSubmission: Sendable {
    let subject: Subject
    /// Or the name of a wish.
    let purpose: String
    let action: ConsentAction
    let source: String
    let textVersion: String?
    let locale: String?
    let occurredAt: Instant?
    let origin: Origin
    let given: [String: JSON]

    /// Reads the members of a call or of a row.
    init(_ fields: JSONFields) throws(DecodingProblem) {
        try fields.allow([
            "subject", "purpose", "action", "source", "textVersion", "locale", "address", "userAgent",
            "occurredAt", "evidence",
        ])
        subject = try Subject(fields)
        purpose = try fields.text(
            "purpose",
            expected: "\(purposeIDRule); or the name of a wish, such as channel:email or frequency:weekly"
        ) { Purpose.isID($0) || ContactWish.isName($0) }
        action = try fields.choice("action", as: ConsentAction.self)
        source = try fields.text("source", expected: labelRule, Purpose.isLabel)
        textVersion =
            fields["textVersion"] == nil
            ? nil : try fields.text("textVersion", expected: labelRule, Purpose.isLabel)
        locale =
            fields["locale"] == nil
            ? nil
            : try fields.text("locale", expected: "a language of BCP 47 such as de-CH", Purpose.isLanguage)
        let address =
            fields["address"] == nil
            ? nil
            : try fields.text("address", expected: "an IP address") { IngestionDomain.IPAddress($0) != nil }
        let agent = fields["userAgent"] == nil ? nil : try fields.text("userAgent", limit: 2_048)
        origin = Origin(address: address, userAgent: agent)
        occurredAt = try fields.optionalInstant("occurredAt")
        given = try fields.objectIfPresent("evidence")
    }

    /// Whether it is about something that can be recorded by a policy.
    func isKnown(to policy: ConsentPolicy) -> Bool {
        policy.purposes[purpose] != nil || ContactWish.isName(purpose)
    }

    /// What is to be recorded of it. Who says yes has seen the text that is shown now, unless it is said which.
    func signal(by policy: ConsentPolicy, at now: Instant, by caller: Caller, via kind: String)
        -> ConsentSignal
    {
        var evidence: [String: JSON] = ["kind": .string(kind), "caller": .string(caller.label)]
        if let occurredAt { evidence["occurredAtAsSent"] = .string(occurredAt.rfc3339) }
        if !given.isEmpty { evidence["given"] = .object(given) }
        return ConsentSignal(
            purpose: purpose, action: action, source: source,
            textVersion: textVersion ?? (action == .grant ? policy.purposes[purpose]?.textVersion : nil),
            locale: locale,
            occurredAt: occurredAt ?? now, evidence: .object(evidence)
        ).with(origin)
    }
}
