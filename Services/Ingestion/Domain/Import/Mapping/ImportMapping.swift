package import Models

/// How the rows of a file become events: read from a file such as `deploy/examples/mappings/online-retail.yaml`, which
/// explains every part.
package struct ImportMapping: Sendable {
    /// The mapping's name, part of every message id: sending a file again under the same name doubles nothing.
    package let name: String
    package let delimiter: UInt8
    package let columns: [ImportColumn]
    /// The column whose value joins rows into one event; nil makes each row an event of its own.
    package let groupBy: Int?
    package let skips: [SkipRule]
    package let events: [EventRule]
    package let catalog: CatalogRule?

    /// Rows that are none of the platform's business, and why.
    package struct SkipRule: Sendable {
        package let reason: String
        package let when: [RowCondition]
    }

    /// What event to make of a group of rows.
    package struct EventRule: Sendable {
        package let id: String
        package let when: [RowCondition]
        package let kind: Kind
        /// The name of a track event.
        package let event: String?
        package let userID: TextTemplate?
        /// Used where `userID` is empty.
        package let anonymousID: TextTemplate?
        /// What somebody is known by in other systems, beside these or instead.
        package let externalIDs: [ExternalID]
        /// The account of a group call.
        package let groupID: TextTemplate?
        /// The column with the time it happened.
        package let timestamp: Int
        /// `properties` of a track, `traits` of an identify or a group.
        package let body: [RowExpression.Member]

        package enum Kind: String, Sendable, CaseIterable { case track, identify, group }

        /// An id that somebody has in another system.
        package struct ExternalID: Sendable {
            /// Such as `salesforce:contact`.
            package let type: String
            package let id: TextTemplate
        }

        /// The columns that say whose event it is; the rows of a group must agree on them.
        var subjectColumns: [Int] {
            ([userID, anonymousID, groupID].compactMap { $0 } + externalIDs.map(\.id)).flatMap(\.columns)
        }
    }

    /// What catalog item to make of the rows of one product.
    package struct CatalogRule: Sendable {
        package let when: [RowCondition]
        /// The column that identifies the product.
        package let key: Int
        package let members: [(key: String, value: Member)]

        package enum Member: Sendable {
            case constant(JSON)
            case column(Int, choose: Choice)
        }

        /// Which row's value stands for the product where they differ.
        package enum Choice: String, Sendable, CaseIterable {
            case latest, first
            case mostFrequent = "most-frequent"
        }
    }

    /// Reads a mapping, or says everything that is wrong with it.
    package init(json: JSON) throws(InvalidMapping) {
        let log = MappingLog()
        guard let mapping = ImportMappingReading.mapping(json, log), log.mistakes.isEmpty else {
            throw InvalidMapping(mistakes: log.mistakes)
        }
        self = mapping
    }

    init(
        name: String, delimiter: UInt8, columns: [ImportColumn], groupBy: Int?, skips: [SkipRule],
        events: [EventRule], catalog: CatalogRule?
    ) {
        self.name = name
        self.delimiter = delimiter
        self.columns = columns
        self.groupBy = groupBy
        self.skips = skips
        self.events = events
        self.catalog = catalog
    }
}
