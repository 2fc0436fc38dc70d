/// Where an event stands in the timeline, which is the stream `profile-events`.
package struct TimelinePosition: Hashable, Sendable {
    package let shard: Shard
    /// 1 or more.
    package let offset: Int64

    package init(shard: Shard, offset: Int64) {
        self.shard = shard
        self.offset = offset
    }

    /// Its members: `"shard": 12, "offset": 345`.
    package var members: [String: JSON] {
        ["shard": .integer(Int64(shard.number)), "offset": .integer(offset)]
    }
}
