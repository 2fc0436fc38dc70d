import DeliveryDomain
import Models
import ServiceKit

/// Fills a template in for one message.
struct MailRendering: Sendable {
    let links: Links
    let people: PersonLinks

    /// A mail that is rendered but not addressed.
    struct Result: Sendable {
        var subject: String
        var html: String
        var text: String
        var urls: [LinkKey: String]
        var unsubscribeURL: String?
    }

    /// What templates see beside the variables of the journey: `profile`, `recommendations`, `message`,
    /// `unsubscribe_url` and `preferences_url`.
    func render(
        _ template: MailTemplate, _ message: QueuedMessage, profileID: ProfileID, traits: [String: JSON],
        email: String?, recommendations: [JSON], canUnsubscribe: Bool, now: Instant
    ) throws(MailTemplate.Mistake) -> Result {
        let unsubscribeURL = canUnsubscribe ? links.unsubscribe(message) : nil
        // By when it was wanted, so that it is the same link however often the mail is tried.
        let preferencesURL = try? people.preferences(
            .init(profileID: profileID, expiresAt: message.wantedAt + PersonLinks.mailLifetime))
        var variables = message.variables
        variables["profile"] = [
            "id": .string(profileID.description), "traits": .object(traits),
            "email": email.map(JSON.string) ?? .null,
        ]
        variables["recommendations"] = .array(recommendations)
        variables["message"] = ["id": .string(message.id.description), "purpose": .string(message.purpose)]
        variables["unsubscribe_url"] = unsubscribeURL.map(JSON.string) ?? .null
        variables["preferences_url"] = preferencesURL.map(JSON.string) ?? .null
        let rendered = try template.render(variables, now: now)
        // Who has one of these is taken for the person, so they are neither kept nor told with clicks.
        let personal = [unsubscribeURL, preferencesURL].compactMap { $0 }
        let tracked = TrackedLinks(
            html: rendered.html, untouched: Set(personal), pixelURL: links.pixel(message)
        ) { links.click(message, $0) }
        return Result(
            subject: rendered.subject, html: tracked.html, text: rendered.text, urls: tracked.urls,
            unsubscribeURL: unsubscribeURL)
    }
}
