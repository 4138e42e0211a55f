//! `aims httpsig`: commands for HTTP message signatures.

mod answer;
mod content;
mod hint;
mod keys;
mod message;
mod sign;
mod verify;
mod workload;

use zeroize::Zeroizing;

use crate::args::HttpSig;
use crate::failure::Failure;
use crate::input::Inputs;

pub(crate) fn run(command: &HttpSig, inputs: &mut Inputs) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match command {
        HttpSig::Base(of) => sign::base(of, inputs),
        HttpSig::Sign(sign) => sign::sign(sign, inputs),
        HttpSig::Verify(verify) => verify::run(verify, inputs).map(crate::bytes),
    }
}
