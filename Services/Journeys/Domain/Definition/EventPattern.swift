package import Models

/// Which events are meant: a track event by name, narrowed by its properties.
package struct EventPattern: Hashable, Sendable {
    /// One condition on a property, which may lie deep (`shipping.country`) or in each element of a list
    /// (`products[].sku`).
    package struct Filter: Hashable, Sendable {
        package var property: String
        package var comparison: Comparison

        package init(property: String, comparison: Comparison) {
            self.property = property
            self.comparison = comparison
        }
    }

    package var event: String
    package var filters: [Filter]
    /// The same pattern has the same key in every version of every journey; memories are kept under it.
    package let key: String

    package init(event: String, filters: [Filter] = []) {
        self.event = event
        self.filters = filters
        let filters = filters.map {
            JSON.object(["property": .string($0.property), "is": $0.comparison.json])
        }
        key = filters.isEmpty ? event : event + " " + JSON.array(filters).compact
    }

    package func matches(_ candidate: TrackingEvent) -> Bool {
        guard candidate.kind == .track, candidate.name == event else { return false }
        let properties = JSON.object(candidate.properties)
        return filters.allSatisfy { $0.comparison.passes(Self.values(at: $0.property, in: properties)) }
    }
}

extension EventPattern {
    /// The values at a path, none of them null.
    static func values(at path: String, in properties: JSON) -> [JSON] {
        var found = [properties]
        for part in path.split(separator: ".", omittingEmptySubsequences: false) {
            let key = part.hasSuffix("[]") ? part.dropLast(2) : part
            found = found.compactMap { $0[path: String(key)] }
            if part.hasSuffix("[]") { found = found.flatMap { $0.array ?? [] } }
        }
        return found.filter { $0 != .null }
    }

    /// Reads the name under `key` and the filters under `where`, both members of `reader`.
    package init?(_ reader: inout ObjectReader, name key: String) {
        let event = reader.string(key, expected: "the name of a track event")
        let written = reader.optionalList("where", expected: "a list of conditions on properties") ?? []
        guard let event else { return nil }
        let log = reader.log
        self.init(event: event, filters: written.compactMap { Self.filter($0, $1, log) })
    }

    private static func filter(_ node: DefinitionNode, _ path: String, _ log: MistakeLog) -> Filter? {
        guard var reader = ObjectReader(node, path, log, expected: "a condition `{property: …, equals: …}`")
        else { return nil }
        let property = reader.string("property", expected: "the name of a property")
        let comparison = Comparison(&reader)
        reader.finish()
        guard let property, let comparison else { return nil }
        return Filter(property: property, comparison: comparison)
    }
}
