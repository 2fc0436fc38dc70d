package import Models

/// One vocabulary for shops: events of Google Analytics 4 and of older Segment integrations under the names, and
/// with the properties, of Segment's ecommerce specification.
///
/// Sources:
/// - Segment, "Spec: V2 Ecommerce Events" (names, properties, and the aliases that it states) and "Spec: B2B SaaS"
///   (Signed Up, Signed In);
/// - segmentio/analytics-events (how loosely Segment's own integrations read the names);
/// - Google, "Recommended events" of GA4 (developers.google.com/analytics/devguides/collection/ga4/reference/events).
///
/// A member that is there is never overwritten: what would take its place stays under its own name. The name that was
/// sent is kept in `context.martlet.originalEvent`. Translating twice is translating once.
package enum EventVocabulary {
    /// The event in the one vocabulary; anything else is left as it is.
    package static func translate(_ event: TrackingEvent) -> TrackingEvent {
        guard event.kind == .track, let name = event.name else { return event }
        var translated = event
        if let standard = EventNames.googleAnalytics[name] {
            guard !isShareOfSomethingElse(name, event.properties) else { return event }
            translated.name = standard
            translated.properties = GoogleAnalyticsProperties.translate(event.properties, of: standard)
        } else if let standard = EventNames.segment(name), standard != name {
            translated.name = standard
            translated.properties = FirstSpecification.translate(event.properties)
        } else {
            return event
        }
        keep(name, in: &translated.context)
        return translated
    }

    /// Whether a track call of this name is left as it is, whatever its properties.
    package static func leaves(_ name: String) -> Bool {
        guard EventNames.googleAnalytics[name] == nil else { return false }
        let standard = EventNames.segment(name)
        return standard == nil || standard == name
    }

    /// GA4's `share` is of any content; Product Shared is of products.
    private static func isShareOfSomethingElse(_ name: String, _ properties: [String: JSON]) -> Bool {
        guard name == "share", let content = properties["content_type"]?.string?.lowercased() else {
            return false
        }
        return !["product", "products", "item", "items"].contains(content)
    }

    private static func keep(_ name: String, in context: inout [String: JSON]) {
        var own: [String: JSON] = [:]
        if let present = context["martlet"] {
            // Whatever else stands there is the sender's.
            guard let members = present.object else { return }
            own = members
        }
        own.addIfAbsent("originalEvent", .string(name))
        context["martlet"] = .object(own)
    }
}

extension [String: JSON] {
    /// Gives a member another name, unless that is taken.
    mutating func rename(_ old: String, _ new: String) {
        guard self[new] == nil, let value = removeValue(forKey: old) else { return }
        self[new] = value
    }

    mutating func addIfAbsent(_ key: String, _ value: JSON?) {
        if self[key] == nil, let value { self[key] = value }
    }
}
