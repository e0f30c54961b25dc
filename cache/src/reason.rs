//! Why the cache had no part in a request, or did not keep a response: `Reason`, one for each site.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a request bypassed the cache or a response was not stored.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of its discriminants: `reason as usize` indexes counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The metric label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// Neither GET nor HEAD.
    Method = "method",
    /// A HEAD for what is not stored: its answer has no body to keep.
    Head = "head",
    /// A target in asterisk-form.
    Target = "target",
    /// No authority: a key without one would be shared by all hosts.
    NoAuthority = "no_authority",
    /// The key is longer than a contiguous segment.
    KeyTooLong = "key_too_long",
    /// A GET with content, which is no part of the key.
    RequestBody = "request_body",
    /// The request said `no-store` and nothing stored serves it.
    RequestNoStore = "request_no_store",
    /// A Range request for what is not stored.
    Range = "range",
    /// If-Match or If-Unmodified-Since for what is not stored: the backend evaluates them.
    Precondition = "precondition",
    /// A request to upgrade to another protocol.
    Upgrade = "upgrade",
    /// A request with Authorization for a response stored without leave to share it.
    Authorization = "authorization",
    /// The response of this key was not storable a moment ago.
    HitForMiss = "hit_for_miss",
    /// As many fetches as may be are under way.
    FillsFull = "fills_full",
    /// As many requests as may be wait already.
    WaitersFull = "waiters_full",
    /// Packet memory or the room set aside for bodies ran out.
    Exhausted = "exhausted",
    /// The byte budget is held by entries that are pinned or half-filled.
    Budget = "budget",
    /// Every entry is pinned or half-filled.
    EntriesFull = "entries_full",
    /// A status that is never stored.
    Status = "status",
    /// The response said `no-store`.
    NoStore = "no_store",
    /// The response said `private`.
    Private = "private",
    /// The request had Authorization and the response does not permit to share.
    AuthorizedResponse = "authorized_response",
    /// The response sets a cookie.
    SetCookie = "set_cookie",
    /// `Vary: *`, or Vary by what the proxy tells the backend of each client.
    VaryAny = "vary_any",
    /// Vary that is no list of field names, or names more than are compared.
    VaryInvalid = "vary_invalid",
    /// Key, selecting fields and head together are longer than a contiguous segment, or more fields
    /// than a head can have.
    HeadTooLong = "head_too_long",
    /// No freshness and no validator: it could never be used again.
    NeverReusable = "never_reusable",
    /// Longer than an entry may be.
    TooLarge = "too_large",
    /// Fewer or more bytes than its Content-Length, or an end before it ended.
    Incomplete = "incomplete",
    /// Invalidated or purged while it was fetched.
    Invalidated = "invalidated",
    /// The fill has ended, or never was.
    NoSuchFill = "no_such_fill",
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn reasons_index_their_own_table_under_distinct_names() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert_eq!(Reason::ALL.iter().filter(|other| other.name() == reason.name()).count(), 1);
        }
    }
}
